"""reaging: change the age of a face, live.

``import reaging`` is light; the parts are imported by name (``reaging.runtime``, ``reaging.nets`` ...).
"""

__version__ = "0.1.0"
