"""Bundled generators by name, files by path."""

from pathlib import Path

from reaging.runtime.backends import open_backend
from reaging.runtime.bundled import FOLDER, NAMES, generator_path


def test_a_name_is_a_bundled_generator_and_anything_else_a_path(tmp_path):
    assert generator_path() == generator_path("mobile") == FOLDER / "mobile-256.onnx"
    assert generator_path(Path("mobile-fp16")) == FOLDER / "mobile-256-fp16.onnx"
    assert generator_path(tmp_path / "mobile") == tmp_path / "mobile"


def test_every_bundled_generator_runs_and_says_its_terms():
    cards = {name: open_backend(generator_path(name), "cpu").card for name in NAMES}
    assert {name: card.precision for name, card in cards.items()} == {"mobile": "fp32", "mobile-fp16": "fp16"}
    assert all("research" in card.terms for card in cards.values())
