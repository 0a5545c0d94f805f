"""What is painted before a face lies in the face, looks like something, and is left alone."""

import dataclasses

import numpy as np
from procedural import write_faces

from reaging.data.occlude import cover, draw_occluder, draw_texture
from reaging.data.shards import open_faces
from reaging.presets import PRESETS
from reaging.training.step import GeneratorTask


def test_a_thing_reaches_from_the_border_into_the_face():
    shapes = [draw_occluder(np.random.default_rng(seed), 128) for seed in range(40)]
    assert all(s.shape == (128, 128) and s.min() >= 0 and s.max() <= 1 for s in shapes)
    assert all(s[32:116, 32:96].max() > 0.9 for s in shapes), "it covers a part of the face"
    assert all(max(s[-1].max(), s[:, 0].max(), s[:, -1].max()) > 0.5 for s in shapes), "and nothing floats"
    assert 0.02 < np.mean([s.mean() for s in shapes]) < 0.3


def test_covering_changes_the_thing_only():
    rng = np.random.default_rng(0)
    picture, other = (rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    shape = draw_occluder(rng, 64)
    covered = cover(picture, shape, draw_texture(rng, other))
    assert np.array_equal(covered[shape == 0], picture[shape == 0])
    assert (covered[shape > 0.95] != picture[shape > 0.95]).any(-1).mean() > 0.9


def test_training_sees_the_same_thing_at_both_ages_and_a_mask_without_it(tmp_path):
    faces = open_faces([write_faces(tmp_path / "faces")], 64)
    plain = dataclasses.replace(PRESETS["tiny"], jitter=0.0, degrade=0.0)
    hidden = dataclasses.replace(plain, occlude=1.0)
    smaller = []
    for seed in range(20):
        before, after = (GeneratorTask(p, faces, None, 10)._example(np.random.default_rng(seed)) for p in (plain, hidden))
        smaller.append(after[5].sum() < before[5].sum())
        same = (after[0] == after[2]).all(-1)
        assert same[after[5].repeat(4, 0).repeat(4, 1) < 0.02].mean() > 0.5
    assert np.mean(smaller) > 0.9
