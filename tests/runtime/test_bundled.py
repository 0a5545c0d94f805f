"""Bundled generators by name, files by path."""

from pathlib import Path

import cv2
import numpy as np
from portraits import portrait

from reaging.runtime.backends import open_backend
from reaging.runtime.bundled import FOLDER, NAMES, generator_path


def test_a_name_is_a_bundled_generator_and_anything_else_a_path(tmp_path):
    assert generator_path() == generator_path("mobile") == FOLDER / "mobile-256.onnx"
    assert generator_path(Path("mobile-fp16")) == FOLDER / "mobile-256-fp16.onnx"
    assert generator_path(tmp_path / "mobile") == tmp_path / "mobile"


def test_every_bundled_generator_runs_and_says_its_terms():
    cards = {name: open_backend(generator_path(name), "cpu").card for name in NAMES}
    assert {name: card.precision for name, card in cards.items()} == {"mobile": "fp32", "mobile-fp16": "fp16", "mobile-int8": "int8"}
    assert all("research" in card.terms for card in cards.values())


def test_the_small_files_answer_as_the_float32_one():
    """On a face, at three ages; 35 dB is what an int8 file is let pass with."""
    face = cv2.resize(portrait()[:256, 22:278], (256, 256))[:, :, ::-1]
    image = (face.transpose(2, 0, 1)[None].repeat(3, 0) / 127.5 - 1).astype(np.float32)
    ages = np.array([8, 40, 75], np.float32)
    wanted = open_backend(generator_path("mobile"), "cpu", 1).run(image, ages)
    for name, least in (("mobile-fp16", 60), ("mobile-int8", 35)):
        aged, mask = open_backend(generator_path(name), "cpu", 1).run(image, ages)
        for got, want, peak in ((aged, wanted[0], 2), (mask, wanted[1], 1)):
            assert 10 * np.log10(peak**2 / np.mean((got - want) ** 2)) > least, name
        closed = mask[:, 0] == 0
        assert closed.any() and np.array_equal(aged.transpose(0, 2, 3, 1)[closed], image.transpose(0, 2, 3, 1)[closed])
