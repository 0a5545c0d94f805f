"""Clips whose number of faces and resolution are chosen: a clip's frames laid out as a contact sheet, the cells without a face blurred."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ..errors import ReagingError
from ..runtime.sinks import open_sink
from ..runtime.sources import open_source
from ..runtime.sources.base import Frame
from .report import plural

FACELESS = (4, 3)  # pixels of a cell without a face, before it is enlarged: nothing is left of one


@dataclass(frozen=True)
class Scene:
    """A clip to measure on; ``faces`` is how many it was made with, None for a clip of the user's."""

    clip: str
    name: str
    faces: int | None = None


def make_scenes(source: str, faces: list[int], sizes: list[tuple[int, int]], frames: int, folder: Path) -> list[Scene]:
    """Writes clips into ``folder``: every number of faces at the first size (width, height), and the first number at every size.

    All have one layout, so that more faces, or more pixels, is all that differs.  Raises ReagingError where ``source`` is no clip.
    """
    cells = math.ceil(math.sqrt(max(faces)))
    wanted = [(count, sizes[0]) for count in faces] + [(faces[0], size) for size in sizes[1:]]
    opened = open_source(source)
    try:
        if opened.live:
            raise ReagingError(f"{source} is a camera, whose waiting would be measured", "a clip", "name a file")
        pictures = [shot.frame for shot in islice(opened, frames)]
    finally:
        opened.close()
    scenes = []
    for count, (width, height) in wanted:
        name = f"{width}x{height}, {plural(count, 'face')}"
        path = folder / f"{width}x{height}-{count}.mp4"
        with open_sink(str(path), opened.fps) as sink:
            for i, picture in enumerate(pictures):
                sink.write(lay_out(picture, count, cells, (width, height)), i / opened.fps, "")
        scenes.append(Scene(str(path), name, count))
    return scenes


def lay_out(picture: Frame, count: int, cells: int, size: tuple[int, int]) -> Frame:
    """A frame of ``size`` (width, height) with the picture in the first ``count`` of cells x cells places, and its blur in the others."""
    width, height = size[0] // cells, size[1] // cells
    small = _fit(picture, width, height)
    blurred = cv2.resize(cv2.resize(small, FACELESS, interpolation=cv2.INTER_AREA), (width, height))
    out = np.zeros((size[1], size[0], 3), np.uint8)
    for i in range(cells * cells):
        top, left = (i // cells) * height, (i % cells) * width
        out[top : top + height, left : left + width] = small if i < count else blurred
    return out


def _fit(picture: Frame, width: int, height: int) -> Frame:
    """The picture's middle in the shape asked for: nothing stretched."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    sides = math.ceil(picture.shape[1] * scale), math.ceil(picture.shape[0] * scale)
    grown = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (grown.shape[1] - width) // 2, (grown.shape[0] - height) // 2
    return np.ascontiguousarray(grown[top : top + height, left : left + width])
