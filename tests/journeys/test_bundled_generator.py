"""The generator that ships: within its bounds, exact outside its mask, and older faces look older to a judge it never met."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import shared_file

from reaging.benchmarks.cli import main
from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.bundled import DEMO, GENERATOR, bundled
from reaging.runtime.filter import open_filter


def test_it_keeps_to_the_bounds_of_mobile_256():
    card = open_backend(bundled(GENERATOR), device="cpu").card
    assert card.kind == "generator" and card.preset == "mobile-256" and card.size == (256, 256)
    assert card.macs <= 1.6e9 and card.parameters <= 4e6 and bundled(GENERATOR).stat().st_size <= 16e6
    assert "research" in card.terms and card.step > 0


def test_pixels_outside_the_mask_are_those_of_the_frame():
    """A real frame: what the mask does not reach comes out bit for bit, what it does changes with age."""
    frame = cv2.VideoCapture(str(bundled(DEMO))).read()[1]
    face_filter = open_filter(age=75, device="cpu")
    aged = face_filter(frame, 0.0)
    changed = (aged != frame).any(-1)
    left, top, width, height = face_filter.faces[0].box
    near = np.zeros_like(changed)  # FFHQ's square is less than three faces wide
    near[int(max(0, top - height)) : int(top + 2 * height), int(max(0, left - width)) : int(left + 2 * width)] = True
    assert changed.sum() > 0.5 * width * height and not changed[~near].any()


def test_every_face_of_a_batch_has_its_own_age():
    ager = Ager(open_backend(bundled(GENERATOR), device="cpu"))
    crops = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8).repeat(2, 0)
    both, one = ager(crops, [8, 75]), ager(crops[:1], [75])
    assert np.abs(both.delta[1] - one.delta[0]).max() < 1e-4 < np.abs(both.delta[0] - both.delta[1]).max()


def test_held_out_people_look_older_to_a_judge_that_was_in_no_loss(tmp_path):
    """The whole of the 80 people is in docs/training.md; here ten, at two ages."""
    pytest.importorskip("matplotlib")
    arguments = [
        "quality",
        bundled(GENERATOR),
        "--data",
        shared_file("data/lifespan-0.tar"),
        "--age-model",
        shared_file("models/age_a.onnx"),
    ]
    arguments += ["--id-model", shared_file("models/id_first.onnx"), "--targets", "20,70", "--limit", "10", "--out", tmp_path / "report"]
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "report" / "report.json").read_text())["scores"]
    assert scores["rise"] >= 20 and scores["identity"] >= 0.4
