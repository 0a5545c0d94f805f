"""Is there an NVIDIA driver that works, and for which GPU? Asked without importing anything of CUDA."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import ReagingError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MANAGEMENT = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"  # NVML: knows the driver's own version
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """The first GPU: its name, compute capability (8.9) and driver version."""

    name: str
    capability: str
    driver: str


@cache
def driver_error() -> str | None:
    """None where the driver starts, else the reason in a few words.

    TensorRT ends the process with a segmentation fault where it finds none, so this is asked before it is touched.
    """
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no NVIDIA driver ({LIBRARY} is not there)"
    code = driver.cuInit(0)
    return None if code == 0 else f"the NVIDIA driver does not start (cuInit gives {code})"


def require_driver() -> None:
    """Raises ReagingError where the driver does not start."""
    reason = driver_error()
    if reason:
        raise ReagingError(reason, "an NVIDIA GPU with its driver", "install the driver, or use --device cpu")


def first_gpu() -> Gpu:
    """Raises ReagingError where there is none."""
    require_driver()
    cuda = ctypes.CDLL(LIBRARY)
    device, major, minor, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    calls = (
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDeviceGetName(name, len(name), device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device),
        lambda: cuda.cuDriverGetVersion(ctypes.byref(version)),
    )
    for call in calls:
        code = call()
        if code:
            raise ReagingError(f"the NVIDIA driver names no GPU (error {code})", "a CUDA device", "use --device cpu")
    own = _driver_version() or f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", own)


def _driver_version() -> str | None:
    """The driver's own version, such as 580.82.07; cuDriverGetVersion knows only the CUDA it is made for."""
    try:
        nvml: Any = ctypes.CDLL(MANAGEMENT)
        text = ctypes.create_string_buffer(81)
        if nvml.nvmlInit_v2() or nvml.nvmlSystemGetDriverVersion(text, len(text)):
            return None
        nvml.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return text.value.decode(errors="replace") or None
