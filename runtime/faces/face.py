"""Face: what the finder, the aligner and the tracker hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Picture = NDArray[Any]  # uint8 [H, W, 3] (OpenCV's type stubs leave the number type open)


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one frame, in the frame's pixels (centers of pixels at whole numbers)."""

    box: Points  # [4]: x, y of the upper left corner, width, height; from the forehead to the chin
    landmarks: Points  # [5, 2]: image-left eye, image-right eye, nose, image-left and image-right mouth corner
    score: float  # 0 to 1
    track: int = -1  # the same number for the same face from frame to frame; -1 before it is tracked
