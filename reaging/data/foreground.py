"""Which pixels of an aligned face are the person: where a change may go, without a parser."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels: boundaries of hair need no more, and it takes 13 ms
ROUNDS = 3


def foreground(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RGB [S, S, 3] in the FFHQ template -> [64, 64], 1 where a person is likely, 0 elsewhere.

    GrabCut (Rother et al. 2004): the middle of the face is the person, the left, right and upper border down to the shoulders is not, and
    two color mixtures decide the rest.  It loses hair that looks like the background, and errs on that side.
    """
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    marks = np.full((SIDE, SIDE), cv2.GC_PR_BGD, np.uint8)
    marks[ellipse(SIDE, (0.5, 0.50), (0.46, 0.56)) > 0] = cv2.GC_PR_FGD
    marks[ellipse(SIDE, (0.5, 0.58), (0.24, 0.32)) > 0.9] = cv2.GC_FGD
    marks[((x < 0.04) | (x > 0.96) | (y < 0.02)) & (y < 0.6)] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # its mixtures start from random centers
    try:
        cv2.grabCut(small, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    except cv2.error:  # a picture of one color has no mixtures
        return np.ones((SIDE, SIDE), np.float32)
    return np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)


def ellipse(side: int, center: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float32]:
    """A soft ellipse [side, side] in the template; center and radii in shares of the side, x first."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    distance = np.hypot((x - center[0]) / radii[0], (y - center[1]) / radii[1])
    return np.clip((1.1 - distance) / 0.2, 0, 1).astype(np.float32)
