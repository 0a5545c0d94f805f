"""int8: what is quantized, what stays float and why, and when no file is written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from torch import nn

from reaging.card import ModelCard
from reaging.errors import ReagingError
from reaging.export import int8
from reaging.export.int8 import export_int8
from reaging.export.onnx import build_onnx
from reaging.export.pictures import spread_pictures
from reaging.export.quantize import Calibrated, calibrate, quantized, with_ages
from reaging.export.sensitivity import LAYER_PSNR, Layer, Yardstick, keep_in_float, measure_layers
from reaging.export.verify import TestInputs
from reaging.runtime.backends.modelfile import read_model

CARD = ModelCard("generator", "tiny", (64, 64), note="a note")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(3)
    for i in range(8):
        smooth = cv2.resize(random.uniform(0, 255, (5, 5, 3)), (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i}.png"), smooth.clip(0, 255))
    return folder


@pytest.fixture(scope="module")
def calibrated(wide: nn.Module) -> Calibrated:
    faces = np.random.default_rng(0).uniform(-1, 1, (4, 3, 64, 64)).astype(np.float32)
    return calibrate(build_onnx(wide, 64, eight_bit=True), faces)


@pytest.fixture(scope="module")
def psnr(calibrated: Calibrated) -> Yardstick:
    return Yardstick(calibrated, TestInputs(*with_ages(calibrated.faces[:2]), "noise"))


def int8_weights(model: onnx.ModelProto) -> list[np.ndarray]:
    return [onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4]


def test_convolutions_bear_the_names_of_their_modules(calibrated: Calibrated) -> None:
    assert set(calibrated.convolutions()) == {
        "stem", "down.0", "blocks.0.conv1", "blocks.0.conv2", "up.0", "blocks.1.conv1", "blocks.1.conv2", "to_change",
    }  # fmt: skip


def test_weights_have_seven_bits_a_scale_for_each_channel_and_no_offset(calibrated: Calibrated) -> None:
    model = quantized(calibrated)
    weights = int8_weights(model)
    assert len(weights) == len(calibrated.convolutions())
    assert all(w.min() >= -64 and 32 <= w.max() <= 64 for w in weights)
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values and values[node.input[0]].ndim == 4:
            assert values[node.input[1]].shape == (len(values[node.input[0]]),) and not values[node.input[2]].any()


def test_layers_alone_and_left_out_are_what_they_say(calibrated: Calibrated, psnr: Yardstick) -> None:
    assert len(int8_weights(quantized(calibrated, only=["stem"]))) == 1
    names = set(calibrated.convolutions())
    assert len(int8_weights(quantized(calibrated, without=["stem"]))) == len(names) - 1
    assert quantized(calibrated, without=names) == calibrated.model
    fitted, layers = measure_layers(calibrated, psnr)
    assert {layer.name for layer in layers} == names
    whole = psnr(quantized(fitted))
    assert all(layer.alone > whole for layer in layers)
    assert max(layer.left_out for layer in layers) > whole


def test_a_range_that_wastes_its_steps_is_narrowed(calibrated: Calibrated, psnr: Yardstick) -> None:
    tensor = calibrated.convolutions()["to_change"]
    wasteful = calibrated.narrowed(tensor, 64)
    before = psnr(quantized(wasteful, only=["to_change"]))
    after = psnr(quantized(measure_layers(wasteful, psnr)[0], only=["to_change"]))
    assert before < 35 and after > before + 6


def test_the_worst_layers_stay_float_until_the_whole_is_good_enough(calibrated: Calibrated, psnr: Yardstick) -> None:
    spoilt = calibrated.narrowed(calibrated.convolutions()["blocks.1.conv2"], 1 / 64)
    layers = [Layer(name, psnr(quantized(spoilt, only=[name])), 0) for name in spoilt.convolutions()]
    kept = keep_in_float(spoilt, layers, psnr)
    assert kept[0] == "blocks.1.conv2" and len(kept) < len(layers)
    assert psnr(quantized(spoilt, without=kept)) > 35
    assert keep_in_float(calibrated, [Layer("stem", LAYER_PSNR - 1, 50)], psnr) == ["stem"]


def test_the_card_lists_what_stayed_float(wide: nn.Module, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "keep_in_float", lambda *_: ["stem", "up.0"])
    report = export_int8(wide, CARD, tmp_path / "m.onnx", photos)
    card = read_model(tmp_path / "m.onnx")[1]
    assert card.float_layers == report.float_layers == ("stem", "up.0")
    assert card.precision == "int8" and card.note == "a note; int8 weights of 7 bits, for any processor"
    assert report.comparison.psnr >= 35 and "stay float: stem, up.0" in report.lines()


def test_beyond_its_bounds_there_is_no_file_without_force(wide: nn.Module, photos: Path, tmp_path: Path) -> None:
    def gate(*_: object) -> tuple[list[str], list[str]]:
        return ["age error 4.00 years in float32, 4.50 in int8"], ["age error +0.50 years"]

    with pytest.raises(ReagingError, match=r"age error \+0.50 years"):
        export_int8(wide, CARD, tmp_path / "m.onnx", photos, gate=gate)
    assert not list(tmp_path.iterdir())
    report = export_int8(wide, CARD, tmp_path / "m.onnx", photos, gate=gate, force=True)
    assert "age error 4.00 years in float32, 4.50 in int8" in report.lines()
    assert "forced: age error +0.50 years" in read_model(tmp_path / "m.onnx")[1].note


def test_below_the_bound_of_psnr_there_is_no_file(wide: nn.Module, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "INT8_PSNR", 90.0)
    with pytest.raises(ReagingError, match="PSNR"):
        export_int8(wide, CARD, tmp_path / "m.onnx", photos)
    assert not list(tmp_path.iterdir())


def test_pictures_are_spread_over_the_ages(tmp_path: Path) -> None:
    ages = [50, 3, 20, 80, 35, 7, 64]
    rows = ["file,age", *(f"{i}.png,{age}" for i, age in enumerate(ages))]
    for i in range(len(ages)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    assert [float(p.label["age"]) for p in spread_pictures(tmp_path, 3)] == [3, 35, 80]
    assert len(spread_pictures(tmp_path, 99)) == len(ages)
