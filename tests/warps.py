"""How exact OpenCV's warps are, for what is compared with them."""

from __future__ import annotations

import cv2

LEVEL = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 2  # gray levels: before 5 samples lay at 1/32 of a pixel and weights had 15 bits
