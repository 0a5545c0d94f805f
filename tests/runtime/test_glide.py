"""A target that is reached after a while of the frames' time."""

from __future__ import annotations

import pytest

from reaging.runtime.glide import Glide


def test_it_goes_straight_and_arrives() -> None:
    glide = Glide(20, 1.0)
    assert glide(20, 2.0, 0.5) == 20
    assert [glide(70, 2.0 + step / 10, 0.5) for step in range(1, 7)] == pytest.approx([30, 40, 50, 60, 70, 70])


def test_a_new_target_on_the_way_starts_where_it_is() -> None:
    glide = Glide(0, 0.0)
    assert glide(10, 0.25, 0.5) == pytest.approx(5)
    assert [glide(-5, 0.25 + step / 4, 0.5) for step in (1, 2)] == pytest.approx([0, -5])


def test_no_seconds_are_at_once() -> None:
    glide = Glide(0, 0.0)
    assert glide(10, 0.0, 0.0) == 10
    assert glide(10, 0.1, 0.5) == 10
