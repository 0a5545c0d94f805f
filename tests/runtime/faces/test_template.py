"""The FFHQ template: where it puts a face, and what the cut out picture looks like."""

from __future__ import annotations

import numpy as np
import pytest

from reaging.runtime.faces.template import cut, face_box, face_boxes, frame_to_crop

# mean landmarks of faces aligned by FFHQ's own script, in its crop of 256 x 256
MEAN = np.array([[95.8, 120.9], [159.1, 121.0], [127.0, 158.0], [100.8, 186.7], [154.3, 186.6]], np.float32)


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
    return points @ np.array([[c, s], [-s, c]]) + shift


def test_an_aligned_face_stays_where_it_is() -> None:
    matrix = frame_to_crop(MEAN, 256)
    assert np.abs(MEAN @ matrix[:, :2].T + matrix[:, 2] - MEAN).max() < 1.5


@pytest.mark.parametrize("degrees", [-80, 25, 170])
def test_the_crop_turns_and_scales_with_the_face(degrees: float) -> None:
    points = turned(MEAN, degrees, 2.5, (300, -40))
    here, there = frame_to_crop(MEAN, 64), frame_to_crop(points, 64)
    assert np.abs((points @ there[:, :2].T + there[:, 2]) - (MEAN @ here[:, :2].T + here[:, 2])).max() < 1e-2


def test_one_face_is_reckoned_as_many_are() -> None:
    faces = np.stack([turned(MEAN, 37 * i, 0.1 + i, (100 * i, -30 * i)) * (1 + 0.3 * (i % 2), 1) for i in range(12)]).astype(np.float32)
    assert np.allclose([face_box(points) for points in faces], face_boxes(faces), rtol=1e-5)


def test_half_the_size_covers_the_same_square() -> None:
    corner = np.array([-0.5, -0.5])  # upper left corner of the square, as pixel centers stand at whole numbers
    for size in (32, 256):
        matrix = frame_to_crop(MEAN, size).astype(np.float64)
        in_frame = np.linalg.solve(matrix[:, :2], corner - matrix[:, 2])
        assert np.allclose(in_frame, np.linalg.solve(frame_to_crop(MEAN, 128)[:, :2], corner - frame_to_crop(MEAN, 128)[:, 2]), atol=1e-2)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2)), np.ones((5, 2)) * 1e30])
def test_points_that_span_no_face_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"points|landmarks"):
        frame_to_crop(points, 256)


def test_cut_is_rgb_and_takes_each_pixel_from_its_place() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    crop = cut(frame, np.float32([[1, 0, -10], [0, 1, -5]]), 16)
    assert (crop == frame[5:21, 10:26, ::-1]).all()


def test_outside_the_frame_stands_its_mirror_image() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    crop = cut(frame, np.float32([[1, 0, 4], [0, 1, 0]]), 16)
    assert (crop[:, :4] == frame[:16, 4:0:-1, ::-1]).all()


def test_shrinking_averages() -> None:
    """Thin stripes become gray: plain sampling would show stripes or flicker."""
    frame = np.zeros((512, 512, 3), np.uint8)
    frame[:, ::2] = 255
    crop = cut(frame, np.float32([[0.125, 0, 0], [0, 0.125, 0]]), 64)
    assert np.abs(crop[4:-4, 4:-4].astype(int) - 127).max() <= 2


@pytest.mark.parametrize("shift", [(0.0, 0.0), (12.3, -9.2)])
def test_shrinking_keeps_the_place(shift: tuple[float, float]) -> None:
    """A blob's center of mass lands where the matrix says, also where the crop leaves the frame."""
    y, x = np.mgrid[0:400, 0:500]
    blob = np.exp(-((x - 210.0) ** 2 + (y - 160.0) ** 2) / (2 * 15.0**2)) * 255
    frame = np.repeat(blob.astype(np.uint8)[..., None], 3, axis=2)
    matrix = np.float32([[0.2, 0.05, shift[0] - 5], [-0.05, 0.2, shift[1] + 10]])
    crop = cut(frame, matrix, 96)[..., 0].astype(float)
    v, u = np.mgrid[0:96, 0:96]
    center = np.array([(crop * u).sum(), (crop * v).sum()]) / crop.sum()
    assert np.abs(center - matrix @ [210, 160, 1]).max() < 0.1


def test_a_crop_wholly_outside_or_of_a_tiny_frame_is_still_a_picture() -> None:
    frame = np.full((1, 1, 3), 7, np.uint8)
    assert (cut(frame, frame_to_crop(MEAN, 64), 64) == 7).all()
    frame = np.full((50, 50, 3), 9, np.uint8)
    assert (cut(frame, frame_to_crop(MEAN * 8 + 900, 64), 64) == 9).all()


def test_the_box_encloses_the_landmarks() -> None:
    for degrees in (0, 45, 90):
        points = turned(MEAN, degrees, 1.0, (500, 500))
        x, y, w, h = face_box(points)
        assert (points > [x, y]).all() and (points < [x + w, y + h]).all()
