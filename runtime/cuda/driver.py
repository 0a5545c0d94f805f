"""Is there an NVIDIA driver that works? Asked without importing anything of CUDA."""

from __future__ import annotations

import ctypes
import sys
from functools import cache


@cache
def driver_error() -> str | None:
    """None where the driver starts, else the reason in a few words.

    TensorRT ends the process with a segmentation fault where it finds none, so this is asked before it is touched.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"no NVIDIA driver ({name} is not there)"
    code = driver.cuInit(0)
    return None if code == 0 else f"the NVIDIA driver does not start (cuInit gives {code})"
