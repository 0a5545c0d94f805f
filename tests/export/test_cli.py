"""reaging-export from a checkpoint to files, and what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from reaging.export.cli import main
from reaging.export.onnx import torch_runner
from reaging.export.verify import compare, onnx_runner, random_inputs
from reaging.runtime.backends.modelfile import read_model


def invoke(*arguments: object) -> tuple[int, str]:
    run = CliRunner().invoke(main, [str(a) for a in arguments])
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    return run.exit_code, run.output


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight smooth pictures to calibrate on and compare with."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(3)
    for i in range(8):
        small = random.uniform(0, 255, (5, 5, 3))
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(small, (80, 96), interpolation=cv2.INTER_CUBIC).clip(0, 255))
    return folder


def test_the_averaged_weights_are_exported_with_their_card(checkpoint: Path, tiny: nn.Module, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    code, text = invoke(checkpoint, out, "--verify", "--faces", photos, "--terms", "for tests", "--note", "a note")
    assert code == 0, text
    assert "faces of photos" in text and "ages 0 to 100" in text and "largest" in text
    card = read_model(out)[1]
    assert (card.step, card.data, card.terms, card.note, card.kind) == (7, "toy faces", "for tests", "a note", "generator")
    assert compare(torch_runner(tiny), onnx_runner(out, 1), random_inputs(64)).largest < 1e-4


def test_int8_is_smaller_and_close(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    code, text = invoke(checkpoint, tmp_path / "m.onnx", "--int8", photos)
    assert code == 0, text
    assert "that did not calibrate" in text
    model, card = read_model(tmp_path / "m.onnx")
    assert card.precision == "int8" and b"QuantizeLinear" in model
    assert " bits" in card.note


def test_show_names_card_and_tensors(checkpoint: Path, tmp_path: Path) -> None:
    invoke(checkpoint, tmp_path / "m.onnx", "--fp16")
    code, text = invoke("--show", tmp_path / "m.onnx")
    assert code == 0
    assert "precision: fp16" in text and "step: 7" in text
    assert "input   image  float [batch, 3, 64, 64]" in text and "output  mask  float [batch, 1, 64, 64]" in text
    code, text = invoke("--show", checkpoint)
    assert code == 0 and "checkpoint of tiny, step 7" in text and "toy faces" in text


def test_refusals_are_one_line_and_leave_nothing(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    foreign, pickled, empty = tmp_path / "foreign.onnx", tmp_path / "pickled.pt", tmp_path / "empty.pt"
    foreign.write_bytes(b"not a model at all")
    torch.save({"model": nn.Linear(1, 1)}, pickled)
    empty.touch()
    out = tmp_path / "out" / "m.onnx"
    out.parent.mkdir()
    cases: list[tuple[list[object], str]] = [
        ([], "missing"),
        ([checkpoint], "missing"),
        ([tmp_path / "no.pt", out], "not there"),
        ([pickled, out], "not a checkpoint"),
        ([empty, out], "not a checkpoint"),
        ([foreign, out], "not a checkpoint"),
        ([checkpoint, out.with_suffix(".pt")], "no name for an ONNX file"),
        ([checkpoint, out, "--fp16", "--int8", photos], "exclude"),
        ([checkpoint, out, "--int8", tmp_path / "nowhere"], "does not exist"),
        ([checkpoint, out, "--int8", foreign], "not a readable picture"),
        ([checkpoint, out, "--faces", photos], "--verify"),
        ([checkpoint, out, "--batch", "1,2"], "--batch"),
        ([checkpoint, out, "--size", "50"], "50 x 50"),
        ([checkpoint, tmp_path / "none" / "m.onnx"], "existing folder"),
        (["--show", foreign], "no ONNX model"),
        (["--show", pickled], "not a checkpoint"),
        (["--show", tmp_path / "no.engine"], "no file"),
    ]
    for arguments, message in cases:
        code, text = invoke(*arguments)
        assert code == 2, (arguments, text)
        assert message in text and text.count("\n") == 1, (arguments, text)
        assert not any(out.parent.iterdir()), arguments


def test_help_brings_in_nothing_heavy() -> None:
    code = "import sys, reaging.export.cli, reaging.benchmarks.cli; print(*{'torch', 'onnx', 'onnxruntime', 'cv2'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
