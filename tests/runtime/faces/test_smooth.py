"""The One-Euro filter: steady at rest, quick in motion."""

from __future__ import annotations

import numpy as np

from reaging.runtime.faces.smooth import OneEuro

FACE = np.float32([[100, 100], [160, 100], [130, 130], [105, 165], [155, 165]])
RATE = 30.0


def run(frames: np.ndarray) -> np.ndarray:
    smooth = OneEuro()
    return np.stack([smooth(points.astype(np.float32), i / RATE) for i, points in enumerate(frames)])


def test_trembling_is_halved_at_least() -> None:
    noise = np.random.default_rng(0).normal(0, 0.6, (90, 5, 2))
    smoothed = run(FACE + noise)
    assert np.diff(smoothed[30:], axis=0).std() < 0.5 * np.diff(noise[30:], axis=0).std()


def test_a_moving_face_is_followed_within_a_tenth_of_the_eye_distance() -> None:
    path = np.arange(60)[:, None, None] * np.array([120.0 / RATE, 0])  # two eye distances a second
    late = (FACE + path - run(FACE + path))[30:]
    assert late[..., 0].min() >= 0 and late[..., 0].max() < 6


def test_near_and_far_faces_are_smoothed_alike() -> None:
    wobble = np.cumsum(np.random.default_rng(1).normal(0, 1, (60, 5, 2)), axis=0)
    assert np.allclose(run((FACE + wobble) * 3) / 3, run(FACE + wobble), atol=1e-2)


def test_time_that_stands_still_or_leaps_starts_anew() -> None:
    smooth = OneEuro()
    smooth(FACE, 1.0)
    for time in (1.0, 0.2, 9.0):
        assert (smooth(FACE + 50 * np.float32(time), time) == FACE + 50 * np.float32(time)).all()
