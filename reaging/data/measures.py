"""What a face's crop and landmarks say of its use: pose, sharpness, color, how much of it is picture at all."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.faces.face import Picture, Points

# a mean face in units of the eye distance: x to the right, y down, z away from the camera, about the middle between the eyes
MEAN_FACE = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.59, -0.42], [-0.42, 1.05, -0.08], [0.42, 1.05, -0.08]], np.float64)
FAR = 6.0  # the camera's distance in eye distances that the pose is read at: about a portrait's
SIDE = 128  # wedges are looked for in the crop at this size
BLACK = 6  # of 255: a wedge's fill, as JPEG leaves it
SMALLEST_WEDGE = 0.004  # of the crop
SOLID = 1.0  # of a wedge's pixels to the area of the hull around their centers: no bays


@dataclass(frozen=True)
class Measures:
    """Numbers of one face; what they are held against is in filters.py."""

    score: float  # 0 to 1, of the detector
    yaw: float  # degrees; positive: turned to the image's right
    pitch: float  # degrees; positive: nose up
    roll: float  # degrees
    sharpness: float  # variance of the Laplacian over the face, relative to that of its gray levels
    chroma: float  # spread of the colors; 0: gray, or toned in one color
    resolution: float  # the source's pixels to one of the crop's
    outside: float  # share of the crop that lies outside the source
    black: float  # share of the crop in black wedges and bars
    rival: float  # the next largest face's height over this one's


def pose(landmarks: Points) -> tuple[float, float, float]:
    """Landmarks [5, 2] -> yaw, pitch and roll in degrees of a mean face seen so; good to some degrees, as faces differ.

    Raises ValueError where the landmarks fit no face.
    """
    points = landmarks.astype(np.float64)
    unit = max(np.hypot(*(points[1] - points[0])), np.hypot(*(points[3:].mean(0) - points[:2].mean(0))) / 1.05)
    camera = np.array([[FAR * unit, 0, 0], [0, FAR * unit, 0], [0, 0, 1.0]])
    ok, turn, _ = cv2.solvePnP(MEAN_FACE, points - points.mean(0), camera, np.zeros(0), flags=cv2.SOLVEPNP_SQPNP)
    if not ok or not np.isfinite(turn).all():
        raise ValueError(f"these landmarks fit no face: {landmarks.tolist()}")
    r = cv2.Rodrigues(turn)[0]
    forward = -r[:, 2]  # where the nose points to
    yaw, pitch = np.arctan2(forward[0], -forward[2]), np.arcsin(np.clip(-forward[1], -1, 1))
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(np.arctan2(r[1, 0], r[0, 0])))


def sharpness(crop: Picture) -> float:
    """Of the face in an RGB crop [S, S, 3], at 256 pixels or at S where that is less: what is left of the source's detail there."""
    side = min(len(crop), 256)
    crop = crop if len(crop) == side else cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[round(0.28 * side) : round(0.88 * side), round(0.24 * side) : round(0.76 * side)]
    return float(cv2.Laplacian(gray, cv2.CV_32F).var() / max(float(gray.var()), 1.0))


def chroma(crop: Picture) -> float:
    """Standard deviation of the colors (Lab's a and b) of an RGB crop."""
    lab = cv2.cvtColor(cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)[..., 1:].astype(np.float32)
    return float(np.sqrt(lab.var(axis=(0, 1)).sum()))


def outside_share(matrix: NDArray[np.float32], frame: Picture, size: int) -> float:
    """Share of the crop (``matrix`` [2, 3] takes the frame to it) that lies outside the frame."""
    at = (np.arange(64) + 0.5) * size / 64 - 0.5
    grid = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    back = cv2.invertAffineTransform(matrix.astype(np.float64))
    x, y = (grid @ back[:, :2].T + back[:, 2]).T
    height, width = frame.shape[:2]
    return float(1 - ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).mean())


def black_share(crop: Picture) -> float:
    """Share of an RGB crop in black wedges and bars, as turning or padding a picture leaves them: even black on the border, with straight
    edges.  Black hair and backgrounds have none."""
    small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((small.max(2) <= BLACK).astype(np.uint8), connectivity=4)
    share = 0.0
    for k in range(1, count):
        left, top, width, height, area = stats[k]
        inside = left > 0 and top > 0 and left + width < SIDE and top + height < SIDE
        if inside or area < SMALLEST_WEDGE * SIDE * SIDE:
            continue
        points = np.argwhere(labels == k)[:, ::-1].astype(np.int32)
        hull = cv2.convexHull(points)
        straight = len(cv2.approxPolyDP(hull, 0.02 * cv2.arcLength(hull, True), True)) <= 4
        if straight and area > SOLID * cv2.contourArea(hull):
            share += area / (SIDE * SIDE)
    return float(share)


def thumbnail(crop: Picture) -> NDArray[np.uint8]:
    """RGB crop -> gray [32, 32], by which likely duplicates are compared."""
    return np.asarray(cv2.cvtColor(cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY), np.uint8)


def fingerprint(crop: Picture) -> NDArray[np.uint8]:
    """Perceptual hash [32] (256 bits) of an RGB crop: the signs of its 16 x 16 lowest frequencies about their median."""
    gray = cv2.cvtColor(cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
    low = cv2.dct(gray)[:16, :16].ravel()
    return np.packbits(low > np.median(low[1:]))
