"""What a face looks like, as far as that tells faces of one scene apart over some seconds; it recognizes nobody."""

from __future__ import annotations

import numpy as np

from .face import Face, Picture, Points
from .template import cut, frame_to_crop

SIZE = 16  # pixels of the FFHQ square's side


def look(frame: Picture, face: Face) -> Points:
    """The face in the FFHQ template at 16 x 16, free of brightness and contrast: float32 [768] of length 1, or 0 for an even patch."""
    crop = cut(frame, frame_to_crop(face.landmarks, SIZE), SIZE).astype(np.float32).ravel()
    crop -= crop.mean()
    return crop / max(1.0, float(np.linalg.norm(crop)))


def likeness(first: Points | None, second: Points | None) -> float:
    """-1 to 1, of one face in near frames above 0.9 (fast turns: 0.5), of two people about 0.3; 0 where a look is not known."""
    return 0.0 if first is None or second is None else float(first @ second)
