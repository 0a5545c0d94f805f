"""Makes the bundled clip: a public-domain NASA portrait, panned, zoomed and turned as if a head moved before a camera.

    python examples/make_demo_clip.py runtime/models/demo.mp4

Needs scikit-image (which carries the portrait) and PyAV.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

WIDTH, HEIGHT, FPS, SECONDS = 480, 360, 24, 5


def portrait_frames() -> list[np.ndarray]:
    """RGB uint8 [HEIGHT, WIDTH, 3] frames that loop without a seam."""
    portrait = data.astronaut()
    face = np.array([224.0, 118.0])  # its center in the portrait
    frames = []
    for i in range(FPS * SECONDS):
        phase = 2 * np.pi * i / (FPS * SECONDS)
        zoom = 1.25 + 0.2 * np.sin(phase)
        turn = np.deg2rad(9 * np.sin(2 * phase))
        place = np.array([WIDTH / 2 + 55 * np.sin(phase + 0.6), face[1] * zoom - 6])  # the portrait's upper edge just out of sight
        rotation = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = np.hstack([rotation, (place - rotation @ face)[:, None]])
        frames.append(cv2.warpAffine(portrait, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101))
    return frames


def main(path: Path) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as clip:
        stream = clip.add_stream("libx264", rate=Fraction(FPS), options={"crf": "24", "preset": "veryslow"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in portrait_frames():
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        clip.mux(stream.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
