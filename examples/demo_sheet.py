"""Puts frames of the bundled clip beside those of its re-aged copy: the picture that `make demo` leaves.

python examples/demo_sheet.py demo.mp4 demo.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from reaging.runtime.bundled import DEMO, bundled


def frames_at(path: Path, shares: tuple[float, ...]) -> list[np.ndarray]:
    """BGR frames of a clip at the given shares of its length."""
    clip = cv2.VideoCapture(str(path))
    frames = []
    while (grabbed := clip.read())[0]:
        frames.append(grabbed[1])
    return [frames[int(share * (len(frames) - 1))] for share in shares]


def main(aged: Path, sheet: Path) -> None:
    shares = (0.1, 0.4, 0.7)
    rows = [np.hstack(pair) for pair in zip(frames_at(bundled(DEMO), shares), frames_at(aged, shares), strict=True)]
    cv2.imwrite(str(sheet), np.vstack(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
