"""The change over time: calm at rest, without ghosts in motion."""

from __future__ import annotations

import numpy as np
import pytest

from reaging.runtime.paste import patch
from reaging.runtime.steady import Worn, carried, worn

SIZE = 64
CROP = np.random.default_rng(0).integers(60, 190, (SIZE, SIZE, 3), np.uint8)
MASK = np.ones((SIZE, SIZE), np.float32)
MASK[:, :20] = 0


def delta(levels: float) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), levels / 127.5, np.float32)


def middle(shown: Worn) -> float:
    return float(shown.patch.values[32, 40, 0])


def test_a_change_that_trembles_on_a_still_face_is_calmed() -> None:
    trembling = [20 + 4 * (-1) ** i for i in range(60)]
    shown, levels = None, []
    for i, value in enumerate(trembling):
        shown = worn(patch(delta(value), MASK), CROP, 70, i / 30, shown)
        levels.append(middle(shown))
    assert np.abs(np.diff(levels[30:])).mean() < 0.2 * 8
    assert np.mean(levels[30:]) == pytest.approx(20, abs=1)


def test_where_the_picture_changes_the_new_change_counts_at_once() -> None:
    before = worn(patch(delta(30), MASK), CROP, 70, 0.0)
    covered = CROP.copy()
    covered[:, 32:] = 20  # something dark before the right half
    after = worn(patch(delta(0), MASK), covered, 70, 1 / 30, before)
    assert np.abs(after.patch.values[:, 40:56, :3]).max() < 0.5
    assert after.patch.values[32, 22, 0] > 20  # the left half stays calm


def test_a_new_age_is_not_held_back() -> None:
    before = worn(patch(delta(30), MASK), CROP, 70, 0.0)
    assert middle(worn(patch(delta(-30), MASK), CROP, 20, 1 / 30, before)) == pytest.approx(-30, abs=0.1)


def test_outside_the_newest_mask_nothing_is_left() -> None:
    before = worn(patch(delta(30), np.ones_like(MASK)), CROP, 70, 0.0)
    after = worn(patch(delta(30), MASK), CROP, 70, 1 / 30, before)
    assert before.patch.values[32, 10, 0] == pytest.approx(30) and not after.patch.values[:, :20].any()


def test_what_is_fine_in_the_newest_change_stays() -> None:
    crop, mask = np.full((256, 256, 3), 120, np.uint8), np.ones((256, 256), np.float32)
    columns = np.arange(256) // 2 % 2 * 24 / 127.5  # lines two pixels wide: 0 and 24 gray levels
    lines = np.repeat(np.repeat(columns[None, :, None], 256, 0), 3, 2).astype(np.float32)
    before = worn(patch(lines, mask), crop, 70, 0.0)
    after = worn(patch(lines[:, ::-1] + np.float32(10 / 127.5), mask), crop, 70, 1 / 30, before).patch.values[128, 64:192, 0]
    assert np.ptp(after) == pytest.approx(24, abs=0.5)  # the moved lines are whole, and there is no trace of the old ones
    assert after.mean() == pytest.approx(12 + 10 * (1 - np.exp(-1 / 6)), abs=0.5)  # and the tint follows slowly


def test_a_first_change_and_one_at_a_time_that_stands_still_are_taken_as_they_are() -> None:
    first = patch(delta(10), MASK)
    before = worn(first, CROP, 70, 0.5)
    assert before.patch is first
    second = patch(delta(20), MASK)
    assert worn(second, CROP, 70, 0.5, before).patch is second


def test_a_carried_change_is_left_away_where_the_picture_is_another_by_now() -> None:
    change = worn(patch(delta(30), np.ones_like(MASK)), CROP, 70, 0.0)
    assert carried(change, CROP) is change.patch
    brighter = np.clip(CROP.astype(int) + 8, 0, 255).astype(np.uint8)
    assert carried(change, brighter).values[32, 32, 0] == pytest.approx(30)  # light that flickers is no other picture
    turned = CROP.copy()
    turned[:, 32:] = 255
    shown = carried(change, turned).values[..., 0]
    assert shown[8:56, 44:60].max() < 1 and shown[8:56, 8:24] == pytest.approx(30, abs=0.1)
