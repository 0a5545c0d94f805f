"""Putting a change back into the frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from warps import LEVEL

from reaging.runtime.ager import Ager, Change
from reaging.runtime.backends.ort import OnnxRuntime
from reaging.runtime.faces.find import YuNetFinder
from reaging.runtime.faces.template import cut, frame_to_crop
from reaging.runtime.paste import border_feather, paste, paste_patches, paste_weight, patch


def gray_change(size: int, levels: float, mask: float = 1.0) -> Change:
    """One change of so many gray levels everywhere."""
    return Change(np.full((1, size, size, 3), levels / 127.5, np.float32), np.full((1, size, size), mask, np.float32))


def frame_of(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 190, (height, width, 3), np.uint8)


def place(scale: float, x: float, y: float) -> np.ndarray:
    """frame -> crop, for a crop of 64 whose side is 64 / scale frame pixels and whose corner is at x, y."""
    return np.float32([[scale, 0, -x * scale], [0, scale, -y * scale]])


def test_outside_the_mask_a_real_frame_is_untouched(tinting: Path, yunet: Path, astronaut: Path) -> None:
    frame = cv2.imread(str(astronaut))
    ager = Ager(OnnxRuntime(tinting, threads=1))
    matrices = np.array([frame_to_crop(f.landmarks, ager.size) for f in YuNetFinder(yunet)(frame)])
    assert len(matrices) == 1
    change = ager(np.array([cut(frame, m, ager.size) for m in matrices]), 90)
    before = frame.copy()
    aged = paste(frame, change, matrices)
    assert np.array_equal(frame, before)  # the input is left alone
    # where the mask lies in the frame, by another way: the outline of the mask as a polygon
    outline, _ = cv2.findContours((change.mask[0] > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygon = cv2.transform(outline[0].astype(np.float64), cv2.invertAffineTransform(matrices[0]))
    inside = cv2.dilate(cv2.fillPoly(np.zeros(frame.shape[:2], np.uint8), [np.rint(polygon).astype(np.int32)], 1), np.ones((9, 9)))
    assert np.array_equal(aged[inside == 0], frame[inside == 0])
    changed = (aged != frame).any(-1)
    assert changed[inside > 0].mean() > 0.5
    center = changed.nonzero()[0].mean(), changed.nonzero()[1].mean()
    assert abs(center[0] - 110) < 25 and abs(center[1] - 222) < 25  # the astronaut's face


def test_colors_are_not_swapped() -> None:
    delta = np.zeros((1, 64, 64, 3), np.float32)
    delta[..., 0] = 40 / 127.5  # red of RGB
    frame = frame_of()
    aged = paste(frame, Change(delta, np.ones((1, 64, 64), np.float32)), place(1, 40, 30))
    assert (aged[62, 72].astype(int) - frame[62, 72]).tolist() == [0, 0, 40]  # red is last in BGR


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_the_change_keeps_its_size_and_place(scale: float) -> None:
    frame = np.full((400, 400, 3), 100, np.uint8)
    side = 64 / scale
    moved = paste(frame, gray_change(64, 20), place(scale, 100, 120)).astype(int) - frame
    assert set(np.unique(moved)) <= set(range(21))
    ys, xs = (moved[..., 0] >= 10).nonzero()
    assert abs(xs.mean() - (100 + 31.5 / scale)) < 0.6 and abs(ys.mean() - (120 + 31.5 / scale)) < 0.6  # the crop's center
    assert 0.75 * side < xs.max() - xs.min() < side
    middle = moved[round(120 + side / 2), round(100 + side / 2)]
    assert middle.tolist() == [20, 20, 20]


@pytest.mark.parametrize("corner", [(-40, -40), (130, 100), (-200, -200), (500, 500), (-1000, 0)])
def test_a_crop_may_stick_out_of_the_frame(corner: tuple[int, int]) -> None:
    frame = frame_of()
    aged = paste(frame, gray_change(64, 30), place(0.5, *corner))
    assert aged.shape == frame.shape
    reaches = -110 < corner[0] < 160 and -110 < corner[1] < 120
    assert (aged != frame).any() == reaches


def test_a_face_of_one_pixel_is_no_trouble() -> None:
    frame = np.full((1, 1, 3), 100, np.uint8)
    assert paste(frame, gray_change(64, 30), place(64.0, 0, 0)).shape == (1, 1, 3)


def test_light_and_dark_end_at_white_and_black() -> None:
    for levels, end in ((300, 255), (-300, 0)):
        assert paste(frame_of(), gray_change(64, levels), place(1, 40, 30))[62, 72].tolist() == [end] * 3


@pytest.mark.parametrize("strength", [0.2, 0.9])
def test_every_pixel_is_within_a_gray_level_of_the_exact_sum(strength: float) -> None:
    """Against the same sum in floating point, turned and enlarged; 0.9 has changes that no byte holds."""
    random, frame = np.random.default_rng(1), frame_of(240, 320)
    delta = np.clip(cv2.GaussianBlur(random.normal(0, 4, (64, 64, 3)).astype(np.float32), (0, 0), 2) * 2, -2, 2) * np.float32(strength)
    mask = cv2.GaussianBlur(random.random((64, 64)).astype(np.float32), (0, 0), 4) - 0.45
    matrix = cv2.getRotationMatrix2D((160, 120), 20, 0.4) - np.float32([[0, 0, 128], [0, 0, 88]])
    one = patch(delta, mask)
    assert one.strong == (strength > 0.5)
    placed = cv2.warpAffine(one.values, matrix, (320, 240), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)[..., :3]
    exact = np.clip(frame + 0.7 * placed, 0, 255)
    aged = paste_patches(frame, [one], [matrix], [0.7])
    assert np.abs(aged - exact).max() <= LEVEL
    assert np.array_equal(aged[(placed == 0).all(-1)], frame[(placed == 0).all(-1)])


def test_overlapping_faces_are_changed_once() -> None:
    frame = np.full((120, 160, 3), 100, np.uint8)
    one = gray_change(64, 20)
    both = Change(np.repeat(one.delta, 2, 0), np.repeat(one.mask, 2, 0))
    matrices = np.stack([place(1, 30, 20), place(1, 60, 20)])
    aged = paste(frame, both, matrices)
    assert aged.max() == 120 and aged[52, 75].tolist() == [120] * 3  # in both crops
    assert aged[52, 40, 0] == 120 and aged[52, 115, 0] == 120  # in one each


def test_a_gain_shows_a_part_of_the_change_and_none_of_it_gives_the_very_frame() -> None:
    frame = np.full((120, 160, 3), 100, np.uint8)
    one = patch(*(part[0] for part in (gray_change(64, 20).delta, gray_change(64, 20).mask)))
    matrices = [place(1, 30, 20), place(1, 60, 20)]
    assert paste_patches(frame, [one], matrices[:1], [0.5])[52, 62].tolist() == [110] * 3
    assert paste_patches(frame, [one], matrices[:1], [0.0]) is frame
    both = paste_patches(frame, [one, one], matrices, [0.5, 1.0])
    assert both[52, 75].tolist() == [120] * 3  # the second has what the first, half faded, leaves
    assert both[52, 40].tolist() == [110] * 3


def test_faces_apart_are_pasted_as_each_alone() -> None:
    frame = frame_of(120, 300)
    one = gray_change(64, 20)
    both = paste(frame, Change(np.repeat(one.delta, 2, 0), np.repeat(one.mask, 2, 0)), np.stack([place(1, 10, 20), place(1, 200, 20)]))
    assert np.array_equal(both[:, :150], paste(frame, one, place(1, 10, 20))[:, :150])
    assert np.array_equal(both[:, 150:], paste(frame, one, place(1, 200, 20))[:, 150:])


def test_no_face_gives_the_very_frame() -> None:
    frame = frame_of()
    assert paste(frame, Change(np.zeros((0, 64, 64, 3), np.float32), np.zeros((0, 64, 64), np.float32)), np.zeros((0, 2, 3))) is frame


def test_a_number_of_matrices_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 matrices for 1 changes"):
        paste(frame_of(), gray_change(64, 1), np.zeros((2, 2, 3)))


def test_weight_is_zero_on_the_border_and_outside_the_mask() -> None:
    feather = border_feather(64)
    assert feather[0].max() == feather[-1].max() == feather[:, 0].max() == 0 and feather[10:54, 10:54].min() == 1
    assert (np.diff(feather[32, :8]) >= 0).all()
    assert paste_weight(np.full((64, 64), 0.02, np.float32)).max() == 0
    assert paste_weight(np.full((64, 64), 0.1, np.float32))[32, 32] == pytest.approx(1)
