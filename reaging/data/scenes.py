"""Training pictures for the finder and the aligner: real face crops put onto other pictures, or cut out, in ever new ways.

Everything is drawn from a numpy Generator that the caller seeds, so the same seed gives the same picture.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..runtime.faces.landmarks import MIRRORED
from ..runtime.faces.template import face_box, square

Image = NDArray[Any]  # uint8 (OpenCV's type stubs leave the number type open)
Points = NDArray[np.float32]
CROP = 256  # side of the face crops
HALF = CROP / 2
LEVELS = 5  # of each crop's pyramid: 256, 128, 64, 32, 16
COLUMNS = ("lx1", "ly1", "lx2", "ly2", "nx", "ny", "mx1", "my1", "mx2", "my2")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, eq=False)
class Album:
    """Decoded pictures, RGB.

    faces: one [N, S, S, 3] uint8 array for each of the sides 256, 128, 64, 32, 16; landmarks [N, 5, 2] in pixels of the largest;
    backgrounds: pictures without a face; cutouts: RGBA things without a face on a transparent ground.
    """

    faces: list[Image]
    landmarks: Points
    backgrounds: list[Image]
    cutouts: list[Image]


def load_album(paths: list[Path], split: str = "train") -> Album:
    """Reads tars and folders: those with a ``labels.csv`` (file, split, ten landmark columns) hold 256-pixel face crops.

    The others hold pictures without a face, of which every eighth by name is held out for ``split="test"``.

    Raises ReagingError where a path is missing or no face, or no other picture, is found.
    """
    faces: list[Image] = []
    landmarks: list[Points] = []
    backgrounds: list[Image] = []
    cutouts: list[Image] = []
    for path in paths:
        files = _read(Path(path))
        tables = [name for name in files if Path(name).name == "labels.csv"]
        for table in tables:
            for name, points in _labelled(files[table], f"{path}:{table}", split):
                member = str(Path(table).parent / name)
                if member not in files:
                    raise ReagingError(f"{path}:{table} names {name}", "pictures that are beside it", "correct it")
                faces.append(_decode(files[member], name)[..., :3])
                landmarks.append(points)
        if not tables:
            for name in sorted(files):
                held_out = zlib.crc32(Path(name).name.encode()) % 8 == 0
                if held_out == (split == "test"):
                    picture = _decode(files[name], name)
                    (cutouts if picture.shape[2] == 4 else backgrounds).append(picture)
    if not faces or not backgrounds:
        raise ReagingError(
            f"found {len(faces)} face crops and {len(backgrounds)} backgrounds in {', '.join(map(str, paths)) or 'nothing'}",
            "tars of labelled face crops and a folder of pictures without faces",
            "name both, for example lifespan-0.tar and what python -m reaging.data.backgrounds collects",
        )
    sizes = {face.shape for face in faces}
    if sizes != {(CROP, CROP, 3)}:
        raise ReagingError(f"face crops of {sorted(sizes)}", f"{CROP}x{CROP} pixels, three channels", "align them again at that size")
    return Album(_pyramid(np.stack(faces)), np.stack(landmarks), backgrounds, cutouts)


def _labelled(table: bytes, where: str, split: str) -> list[tuple[str, Points]]:
    """Names of one split's face crops, and their landmarks [5, 2]; without those in which the teacher saw no face."""
    try:
        rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
        points = [np.array([float(row.get(c) or "nan") for c in COLUMNS], np.float32).reshape(5, 2) for row in rows]
        return [(row["file"], p) for row, p in zip(rows, points, strict=True) if row["split"] == split and np.isfinite(p).all()]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        expected = f"CSV in UTF-8 with the columns file, split, {', '.join(COLUMNS)}"
        raise ReagingError(f"{where} is no table of face crops ({error})", expected, "make it with reaging-data") from None


def _read(path: Path) -> dict[str, bytes]:
    """Every picture and labels.csv of a tar or a folder, by name."""
    wanted = (*PICTURES, ".csv")
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in wanted)
        return {str(p.relative_to(path)): p.read_bytes() for p in found}
    try:
        with tarfile.open(path) as tar:
            members = [m for m in tar if m.isfile() and m.name.lower().endswith(wanted)]
            return {str(Path(m.name)): tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]
    except (OSError, tarfile.TarError) as error:
        raise ReagingError(f"cannot read {path} ({error})", "a tar or a folder of pictures", "check the path") from error


def _decode(data: bytes, name: str) -> Image:
    """RGB, or RGBA where the picture has an alpha channel."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8:
        raise ReagingError(f"cannot decode {name}", "an 8-bit JPEG, PNG or WebP picture", "remove or replace it")
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _pyramid(faces: Image) -> list[Image]:
    levels = [faces]
    for _ in range(LEVELS - 1):
        side = levels[-1].shape[1] // 2
        levels.append(np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in levels[-1]]))
    return levels


# ---- one face, warped ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pose:
    """Where and how a face stands in a picture: middle of FFHQ's square and half its side in pixels, roll in radians (clockwise), a made
    turn of the head (yaw, pitch, radians) and whether it is mirrored."""

    x: float
    y: float
    half: float
    roll: float
    yaw: float = 0.0
    pitch: float = 0.0
    mirrored: bool = False


def _relief(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the head stands out of the crop's plane at u, v (all in half sides): a smooth bump in the place of a head."""
    return 0.5 * np.exp(-((u / 0.55) ** 2) - ((v - 0.1) / 0.75) ** 2)


def _turned(u: NDArray[np.float64], v: NDArray[np.float64], pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the point u, v of the crop is seen after the head turned; the axis stands inside the head, so that its middle stays."""
    z = _relief(u, v) - 0.3
    return u * np.cos(pose.yaw) + z * np.sin(pose.yaw), v * np.cos(pose.pitch) + z * np.sin(pose.pitch)


def place(landmarks: Points, pose: Pose) -> Points:
    """Landmarks [5, 2] of a crop -> those in the picture."""
    points = (np.asarray(landmarks, np.float64) - (HALF - 0.5)) / HALF
    if pose.mirrored:
        points = points[MIRRORED] * [-1, 1]
    u, v = _turned(points[:, 0], points[:, 1], pose)
    c, s = np.cos(pose.roll) * pose.half, np.sin(pose.roll) * pose.half
    return np.stack([pose.x + c * u - s * v, pose.y + s * u + c * v], axis=1).astype(np.float32)


def _maps(pose: Pose, corner: tuple[int, int], size: tuple[int, int], side: int) -> NDArray[Any]:
    """For cv2.remap: where in a crop of ``side`` pixels each pixel of a patch (corner x, y; width, height) of the picture comes from."""
    # the map is smooth: worked out on a grid of every eighth pixel and enlarged
    columns, rows = (int(np.ceil(n / 8)) + 1 for n in size)
    x, y = np.meshgrid(np.arange(columns) * 8.0 + corner[0] - pose.x, np.arange(rows) * 8.0 + corner[1] - pose.y)
    c, s = np.cos(pose.roll) / pose.half, np.sin(pose.roll) / pose.half
    goal_u, goal_v = c * x + s * y, -s * x + c * y
    u, v = goal_u, goal_v
    if pose.yaw or pose.pitch:
        for _ in range(4):  # the turn has no closed inverse: a few steps of a fixed point are enough
            z = _relief(u, v) - 0.3
            u, v = (goal_u - z * np.sin(pose.yaw)) / np.cos(pose.yaw), (goal_v - z * np.sin(pose.pitch)) / np.cos(pose.pitch)
    if pose.mirrored:
        u = -u
    grid = np.stack([u, v], axis=2).astype(np.float32) * (side / 2) + (side / 2 - 0.5)
    # grid point k stands on pixel 8 k: warpAffine enlarges with exactly that phase, cv2.resize does not
    enlarge = np.array([[0.125, 0, 0], [0, 0.125, 0]])
    return cv2.warpAffine(grid, enlarge, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def _sampled(picture: Image, maps: NDArray[Any], border: int) -> Image:
    """Both coordinates stand in one map: the second is None, which OpenCV's type stubs do not know (an empty array is read as a map)."""
    return cv2.remap(picture, maps, None, cv2.INTER_LINEAR, borderMode=border)  # type: ignore[call-overload,no-any-return]


def _level(half: float) -> int:
    """The pyramid's level whose pixels are nearest to the picture's, rather finer than coarser."""
    return int(np.clip(np.floor(np.log2(HALF / max(half, 1.0)) + 0.3), 0, LEVELS - 1))


def random_pose(rng: np.random.Generator, x: float, y: float, half: float) -> Pose:
    """Heads are mostly upright, at times well turned."""
    strong = rng.random() < 0.3
    roll = rng.normal(0, 0.35 if strong else 0.15)
    turn = rng.random() < 0.6
    yaw = float(np.clip(rng.normal(0, 0.35), -0.65, 0.65)) if turn else 0.0
    pitch = float(np.clip(rng.normal(0, 0.22), -0.4, 0.4)) if turn else 0.0
    return Pose(x, y, half, float(np.clip(roll, -0.7, 0.7)), yaw, pitch, bool(rng.random() < 0.5))


def cut_shapes(rng: np.random.Generator, count: int = 64) -> list[Image]:
    """Masks [64, 64] in the crop's square under which a crop is pasted: heads, heads with shoulders, whole squares, soft and hard, so that
    no border gives a face away."""
    y, x = np.mgrid[0:64, 0:64] / 32.0 - 1 + 1 / 64
    shapes = []
    for i in range(count):
        kind, soft = i % 4, rng.uniform(0.01, 0.3)
        if kind == 3:
            distance = 0.99 - np.maximum(np.abs(x), np.abs(y))
        else:
            wide, high, low = rng.uniform(0.62, 0.92), rng.uniform(0.75, 0.97), rng.uniform(-0.05, 0.15)
            distance = (1 - np.hypot(x / wide, (y - low) / high)) * wide
            if kind == 2:  # shoulders
                distance = np.maximum(distance, np.minimum(y - rng.uniform(0.5, 0.7), 0.97 - np.abs(x)))
            distance = np.minimum(distance, 0.99 - np.maximum(np.abs(x), np.abs(y)))
        shapes.append((np.clip(distance / soft, 0, 1) * 255).astype(np.uint8))
    return shapes


def paste(picture: Image, crop: Image, shape: Image, pose: Pose, light: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Warps a square crop into the picture, in place, under a mask and with its own light ([3] gains); returns where it now covers the
    picture ([H, W]), or None where it lies wholly outside."""
    height, width = picture.shape[:2]
    reach = pose.half * (abs(np.cos(pose.roll)) + abs(np.sin(pose.roll))) * 1.05 + 1
    x0, y0 = max(0, int(pose.x - reach)), max(0, int(pose.y - reach))
    x1, y1 = min(width, int(pose.x + reach) + 1), min(height, int(pose.y + reach) + 1)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    maps = _maps(pose, (x0, y0), (x1 - x0, y1 - y0), crop.shape[0])
    warped = _sampled(crop, maps, cv2.BORDER_REPLICATE)
    alpha = _sampled(shape, maps * (shape.shape[0] / crop.shape[0]), cv2.BORDER_CONSTANT)
    under = picture[y0:y1, x0:x1]
    weight = alpha.astype(np.float32) / 255
    lit = cv2.LUT(warped, np.clip(np.arange(256)[:, None] * light, 0, 255).astype(np.uint8)[None])
    cv2.blendLinear(lit, under.copy(), weight, 1 - weight, dst=under)
    covered = np.zeros((height, width), bool)
    covered[y0:y1, x0:x1] = alpha > 127
    return covered


# ---- what stands around and in front of faces ------------------------------------------------------------------------


def background(rng: np.random.Generator, album: Album, size: int) -> Image:
    """A picture [size, size, 3] without a face: a part of a background, a gradient, noise, or things strewn over one of them."""
    kind = rng.random()
    if kind < 0.8:
        picture = _window(rng, album.backgrounds[rng.integers(len(album.backgrounds))], size)
    else:
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.float32)
        gradient = cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR)
        cells = size >> int(rng.integers(0, 5))
        noise = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32)
        grain = cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR)
        picture = np.clip(gradient + grain * rng.uniform(0, 60), 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 6)))
    if rng.random() < 0.2:  # skin and hair colors in the surroundings
        tint = album.faces[LEVELS - 1][rng.integers(len(album.landmarks)), 9, 8].astype(np.float32)
        picture = (picture * 0.4 + tint * 0.6 * (picture.mean() / 255 + 0.5)).clip(0, 255).astype(np.uint8)
    return picture


def _window(rng: np.random.Generator, source: Image, size: int) -> Image:
    height, width = source.shape[:2]
    side = int(min(height, width, 4 * size) * rng.uniform(0.25, 1.0))
    side = max(side, min(height, width, 24))
    x, y = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
    window = source[y : y + side, x : x + side]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    return cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def strew(rng: np.random.Generator, album: Album, shapes: list[Image], picture: Image, x: float, y: float, half: float) -> None:
    """Lays a thing that is no face into the picture, in place, as large as a face would be: a cutout, a square of background, or a part
    of a face crop that shows only hair, neck, cheek or clothes."""
    light = rng.uniform(0.6, 1.3, 3).astype(np.float32)
    pose = Pose(x, y, half, float(rng.uniform(-np.pi, np.pi)))
    kind = rng.random()
    if kind < 0.5 and album.cutouts:
        thing = album.cutouts[rng.integers(len(album.cutouts))]
        side = max(thing.shape[:2])
        top, left = (side - thing.shape[0]) // 2, (side - thing.shape[1]) // 2
        whole = cv2.copyMakeBorder(thing, top, side - thing.shape[0] - top, left, side - thing.shape[1] - left, cv2.BORDER_CONSTANT)
        goal = int(np.clip(2 * half, 8, side))
        whole = cv2.resize(whole, (goal, goal), interpolation=cv2.INTER_AREA)
        paste(picture, np.ascontiguousarray(whole[..., :3]), np.ascontiguousarray(whole[..., 3]), pose, light)
        return
    shape = shapes[rng.integers(len(shapes))]
    if kind < 0.75:
        patch = _window(rng, album.backgrounds[rng.integers(len(album.backgrounds))], int(np.clip(2 * half, 16, CROP)))
    else:
        patch = faceless_patch(rng, album)
    paste(picture, patch, shape, pose, light)


def faceless_patch(rng: np.random.Generator, album: Album) -> Image:
    """A square out of a face crop in which neither both eyes nor nose and mouth can be seen: [about 60 to 100 pixels]."""
    crop = album.faces[0][rng.integers(len(album.landmarks))]
    side = int(rng.integers(56, 96))
    # the crop's border bands (hair, neck, ears, clothes) or one cheek
    x, y = [(0, 0), (CROP - side, 0), (0, CROP - side), (CROP - side, CROP - side), (int(rng.integers(0, CROP - side)), 0)][rng.integers(5)]
    return np.ascontiguousarray(np.rot90(crop[y : y + side, x : x + side], int(rng.integers(4))))


def hide(rng: np.random.Generator, album: Album, shapes: list[Image], picture: Image, landmarks: Points) -> None:
    """Puts something in front of a face, in place: a hand, a microphone, a cutout, a bar, hair."""
    center, right = square(landmarks)
    half = float(np.hypot(*right))
    kind = rng.random()
    at = center + rng.normal(0, 0.4, 2) * half + [0, 0.2 * half]
    if kind < 0.45:
        _hand(rng, picture, landmarks, at, half)
    elif kind < 0.6:
        color = [int(c) for c in rng.integers(10, 90, 3)]
        radius = max(1, int(half * rng.uniform(0.08, 0.22)))
        end = at + np.array([rng.normal(0, 0.5) * half, half * 1.5])
        cv2.line(picture, _at(at), _at(end), color, max(1, radius // 2), cv2.LINE_AA)
        cv2.circle(picture, _at(at), radius, color, -1, cv2.LINE_AA)
    elif kind < 0.8:
        strew(rng, album, shapes, picture, float(at[0]), float(at[1]), half * rng.uniform(0.15, 0.45))
    else:
        color = [int(c) for c in rng.integers(0, 256, 3)]
        angle, far = rng.uniform(0, np.pi), 2 * half
        step = np.array([np.cos(angle), np.sin(angle)]) * far
        cv2.line(picture, _at(at - step), _at(at + step), color, max(1, int(half * rng.uniform(0.05, 0.3))), cv2.LINE_AA)


def _hand(rng: np.random.Generator, picture: Image, landmarks: Points, at: NDArray[np.float64], half: float) -> None:
    """A palm and some fingers in the face's own skin color, each with a darker rim."""
    height, width = picture.shape[:2]
    cheek = (landmarks[2] * 0.5 + landmarks[3] * 0.5).round().astype(int)
    skin = picture[np.clip(cheek[1], 0, height - 1), np.clip(cheek[0], 0, width - 1)].astype(np.float32)
    skin = np.clip(skin * rng.uniform(0.7, 1.25) + rng.normal(0, 8, 3), 0, 255)
    angle = rng.uniform(-np.pi, np.pi)
    thick = max(2, int(half * rng.uniform(0.1, 0.17)))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    if rng.random() < 0.7:
        palm = at - along * half * 0.55
        axes = (max(1, int(half * 0.38)), max(1, int(half * 0.32)))
        cv2.ellipse(picture, _at(palm), axes, float(np.degrees(angle)), 0, 360, (skin * 0.92).tolist(), -1, cv2.LINE_AA)
    for i in range(int(rng.integers(1, 5))):
        start = at + across * thick * 1.1 * (i - 1.5) - along * half * 0.4
        spread = along + across * (i - 1.5) * 0.08
        end = at + across * thick * 1.1 * (i - 1.5) + spread * half * rng.uniform(0.1, 0.55)
        cv2.line(picture, _at(start), _at(end), (skin * 0.7).tolist(), thick, cv2.LINE_AA)
        cv2.line(picture, _at(start), _at(end), skin.tolist(), max(1, int(thick * 0.8)), cv2.LINE_AA)


def glasses(rng: np.random.Generator, picture: Image, landmarks: Points) -> None:
    """Draws glasses onto a face, in place: frames, at times dark or shining lenses."""
    _, right = square(landmarks)
    gap = float(np.hypot(*(landmarks[1] - landmarks[0])))
    radius = (max(1, int(gap * rng.uniform(0.3, 0.46))), max(1, int(gap * rng.uniform(0.22, 0.42))))
    color = [int(c) for c in (rng.integers(0, 60, 3) if rng.random() < 0.7 else rng.integers(0, 256, 3))]
    thick = max(1, int(gap * rng.uniform(0.02, 0.09)))
    turn = float(np.degrees(np.arctan2(right[1], right[0])))
    if rng.random() < 0.45:
        lenses = picture.copy()
        shade = [int(c) for c in (rng.integers(0, 50, 3) if rng.random() < 0.6 else rng.integers(120, 256, 3))]
        for eye in landmarks[:2]:
            cv2.ellipse(lenses, _at(eye), radius, turn, 0, 360, shade, -1, cv2.LINE_AA)
        cv2.addWeighted(lenses, weight := float(rng.uniform(0.2, 0.95)), picture, 1 - weight, 0, dst=picture)
    for eye in landmarks[:2]:
        cv2.ellipse(picture, _at(eye), radius, turn, 0, 360, color, thick, cv2.LINE_AA)
    inner = (landmarks[1] - landmarks[0]) * (radius[0] / gap)
    cv2.line(picture, _at(landmarks[0] + inner), _at(landmarks[1] - inner), color, thick, cv2.LINE_AA)
    cv2.line(picture, _at(landmarks[0] - inner), _at(landmarks[0] - inner * 2.2), color, thick, cv2.LINE_AA)
    cv2.line(picture, _at(landmarks[1] + inner), _at(landmarks[1] + inner * 2.2), color, thick, cv2.LINE_AA)


def _at(point: NDArray[np.float32] | NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def camera(rng: np.random.Generator, picture: Image) -> Image:
    """What a webcam does to a picture: exposure, color, light from a side, blur, noise, JPEG; to two of five only a little."""
    size = picture.shape[0]
    if rng.random() < 0.4:
        tones = (np.arange(256)[:, None] - 110) * rng.uniform(0.85, 1.15) + 110
        gain = rng.uniform(0.75, 1.2) * np.exp(rng.normal(0, 0.04, 3))
        return cv2.LUT(picture, np.clip(tones * gain, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.15:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    gain = rng.uniform(0.45, 1.5) * np.exp(rng.normal(0, 0.1, 3))
    tones = (np.arange(256)[:, None] - 110) * rng.uniform(0.6, 1.3) + 110
    image = cv2.LUT(picture, np.clip(tones * gain, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.4:
        ramp = cv2.resize(rng.uniform(0.35, 1.4, (2, 2, 1)).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        image = cv2.multiply(image, cv2.merge([ramp] * 3), dtype=cv2.CV_8U)
    kind = rng.random()
    if kind < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.6)))
    elif kind < 0.4:  # motion
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        kernel = np.ascontiguousarray(kernel.T) if rng.random() < 0.5 else kernel
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    elif kind < 0.6:  # few pixels
        side = int(size * rng.uniform(0.35, 0.8))
        image = cv2.resize(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        grain = rng.standard_normal((size, size, 1 if rng.random() < 0.5 else 3), np.float32) * np.float32(rng.uniform(1, 12))
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
        assert decoded is not None  # it was encoded just before
        return decoded
    return image


# ---- whole pictures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture [S, S, 3] RGB with the landmarks [K, 5, 2] of its faces and how much of each can be seen [K], 0 to 1."""

    picture: Image
    landmarks: Points
    seen: NDArray[np.float32]


def finder_scene(rng: np.random.Generator, album: Album, size: int, shapes: list[Image]) -> Scene:
    """A picture [size, size, 3] with no face, one or several, from about 9 to more than ``size`` pixels high."""
    picture = background(rng, album, size)
    for _ in range(int(rng.integers(0, 4))):
        half = _half(rng, size)
        strew(rng, album, shapes, picture, float(rng.uniform(0, size)), float(rng.uniform(0, size)), half)
    landmarks: list[Points] = []
    owner = np.full((size, size), -1, np.int16)
    areas: list[float] = []
    for _ in range(int(rng.choice(5, p=[0.12, 0.42, 0.26, 0.12, 0.08]))):
        half = _half(rng, size)
        room = min(half * 0.6, size * 0.45)
        pose = random_pose(rng, float(rng.uniform(room, size - room)), float(rng.uniform(room, size - room)), half)
        index = int(rng.integers(len(album.landmarks)))
        points = place(album.landmarks[index], pose)
        if rng.random() < 0.4:
            owner[_body(rng, album, picture, shapes, pose)] = -1
        covered = paste(picture, album.faces[_level(half)][index], shapes[rng.integers(len(shapes))], pose, _light(rng))
        if covered is None:
            continue
        if rng.random() < 0.15:
            glasses(rng, picture, points)
        box = face_box(points)
        owner[covered] = len(landmarks)
        landmarks.append(points)
        areas.append(float(box[2] * box[3]))
        if rng.random() < 0.15:
            hide(rng, album, shapes, picture, points)
    picture = camera(rng, picture)
    if rng.random() < 0.3:  # the finder fills a frame up to a multiple of 32 with gray
        fill = int(rng.integers(1, size // 4))
        if rng.random() < 0.7:
            picture[size - fill :], owner[size - fill :] = 128, -1
        else:
            picture[:, size - fill :], owner[:, size - fill :] = 128, -1
    seen = [_seen(owner, i, points, area) for i, (points, area) in enumerate(zip(landmarks, areas, strict=True))]
    return Scene(picture, np.array(landmarks, np.float32).reshape(-1, 5, 2), np.array(seen, np.float32))


def _body(rng: np.random.Generator, album: Album, picture: Image, shapes: list[Image], pose: Pose) -> NDArray[np.bool_]:
    """Something large below a face, as clothes are, that is no second face; returns where it covers the picture."""
    down = pose.half * float(rng.uniform(1.6, 2.4))
    body = Pose(pose.x - down * np.sin(pose.roll), pose.y + down * np.cos(pose.roll), pose.half * float(rng.uniform(1.0, 1.9)), pose.roll)
    if rng.random() < 0.7:
        patch = _window(rng, album.backgrounds[rng.integers(len(album.backgrounds))], int(np.clip(2 * body.half, 16, CROP)))
    else:
        patch = faceless_patch(rng, album)
    covered = paste(picture, patch, shapes[rng.integers(len(shapes))], body, _light(rng))
    return np.zeros(picture.shape[:2], bool) if covered is None else covered


def _seen(owner: NDArray[np.int16], index: int, points: Points, area: float) -> float:
    """The share of a face's box that shows this face."""
    x, y, w, h = face_box(points)
    part = owner[max(0, int(y)) : max(0, int(y + h) + 1), max(0, int(x)) : max(0, int(x + w) + 1)]
    return min(1.0, float((part == index).sum()) / max(area, 1.0))


def _half(rng: np.random.Generator, size: int) -> float:
    """Half sides of squares, log-uniform: faces of about 9 to 290 pixels in a picture of 256."""
    return float(np.exp(rng.uniform(np.log(6), np.log(size * 0.76))))


def _light(rng: np.random.Generator) -> NDArray[np.float32]:
    return (rng.uniform(0.5, 1.25) * np.exp(rng.normal(0, 0.06, 3))).astype(np.float32)


def aligner_crop(rng: np.random.Generator, album: Album, size: int, zoom: float, shapes: list[Image]) -> tuple[Image, Points, bool]:
    """A crop [size, size, 3] RGB as the aligner sees one, its landmarks [5, 2] in pixels, and whether it shows a face.

    The square of the template, ``zoom`` times enlarged, is off by what a moving head or a rough finder makes of it.  A quarter of the crops
    show no face: other pictures and things, hair and necks, or a face far out of place.
    """
    if rng.random() < 0.25:
        return _no_face(rng, album, size, shapes)
    rough = rng.random() < 0.3
    shift = rng.normal(0, 0.16 if rough else 0.07, 2).clip(-0.4, 0.4) * size / 2
    half = size / 2 * zoom * float(np.exp(np.clip(rng.normal(0, 0.18 if rough else 0.08), -0.45, 0.45)))
    middle = (size - 1) / 2
    pose = random_pose(rng, middle + shift[0], middle + shift[1], half)
    index = int(rng.integers(len(album.landmarks)))
    points = place(album.landmarks[index], pose)
    picture = background(rng, album, size)
    shape = shapes[rng.integers(len(shapes))] if rng.random() < 0.5 else np.full((8, 8), 255, np.uint8)
    paste(picture, album.faces[_level(half)][index], shape, pose, _light(rng))
    if rng.random() < 0.2:
        glasses(rng, picture, points)
    if rng.random() < 0.2:
        hide(rng, album, shapes, picture, points)
    return camera(rng, picture), points, True


def _no_face(rng: np.random.Generator, album: Album, size: int, shapes: list[Image]) -> tuple[Image, Points, bool]:
    picture = background(rng, album, size)
    middle = (size - 1) / 2
    kind = rng.random()
    if kind < 0.3:  # a face, but far out of place, far too small or far too large: the track is lost
        angle, far = rng.uniform(0, 2 * np.pi), float(rng.uniform(0.95, 1.5)) * size / 2
        half = size / 2 * float(np.exp(rng.uniform(-0.3, 0.3)))
        if rng.random() < 0.4:
            far, half = 0.0, size / 2 * float(rng.choice([rng.uniform(0.15, 0.4), rng.uniform(3.0, 5.0)]))
        pose = random_pose(rng, middle + far * np.cos(angle), middle + far * np.sin(angle), half)
        index = int(rng.integers(len(album.landmarks)))
        paste(picture, album.faces[_level(half)][index], shapes[rng.integers(len(shapes))], pose, _light(rng))
    elif kind < 0.75:
        for _ in range(int(rng.integers(1, 4))):
            x, y = middle + rng.normal(0, 0.2 * size, 2)
            strew(rng, album, shapes, picture, float(x), float(y), size / 2 * rng.uniform(0.4, 1.3))
    return camera(rng, picture), np.zeros((5, 2), np.float32), False


def batches(seed: int, step: int, count: int) -> Iterator[np.random.Generator]:
    """One generator for each picture of a training step; the same for the same seed, step and place in the batch."""
    for i in range(count):
        yield np.random.default_rng((seed, step, i))
