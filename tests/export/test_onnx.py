"""Torch against the exported file, over all families of networks; what is in the file, and what must not be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from reaging.card import ModelCard
from reaging.errors import ReagingError
from reaging.export.onnx import export_onnx, torch_runner
from reaging.export.verify import Comparison, compare, full_inputs, onnx_runner, random_inputs
from reaging.nets import build_generator
from reaging.presets import PRESETS, Preset
from reaging.runtime.backends.modelfile import read_model


def card(preset: Preset, **fields: object) -> ModelCard:
    return ModelCard("generator", preset.name, (preset.size, preset.size), **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exported(family: tuple[nn.Module, Preset], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return path, export_onnx(family[0], card(family[1], step=5, terms="for tests"), path)


def test_onnx_runtime_answers_as_torch_does_at_all_ages(family: tuple[nn.Module, Preset], exported: tuple[Path, Comparison]) -> None:
    network, preset = family
    before = {name: value.clone() for name, value in network.state_dict().items()}
    result = compare(torch_runner(network), onnx_runner(exported[0], 1), full_inputs(preset.size))
    assert result.largest < 1e-4
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_age_is_a_true_input_of_the_file(family: tuple[nn.Module, Preset], exported: tuple[Path, Comparison]) -> None:
    image = np.repeat(random_inputs(family[1].size).image[:1], 3, 0)
    aged, mask = onnx_runner(exported[0], 1)(image, np.float32([10, 40, 70]))
    assert np.abs(aged[0] - aged[1]).max() > 1e-3 and np.abs(aged[1] - aged[2]).max() > 1e-3
    assert aged.shape == image.shape and mask.shape == (3, 1, *image.shape[2:])
    assert mask.min() >= 0 and mask.max() <= 1 and np.abs(aged).max() <= 1


def test_the_file_is_whole_anonymous_and_free_of_batch_norms(exported: tuple[Path, Comparison]) -> None:
    path, _ = exported
    model = onnx.load(str(path), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert all(t.data_location != onnx.TensorProto.EXTERNAL for t in model.graph.initializer)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")  # any letters can stand next to each other in weights
    said = model.SerializeToString()
    for trace in (b".py", str(Path(__file__).parents[2]).encode(), b"forward("):
        assert trace not in said
    assert [p.key for p in model.metadata_props] == ["reaging"]
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    optional = {t.name for t in model.graph.initializer}
    assert [i.name for i in model.graph.input if i.name not in optional] == ["image", "age"] and [o.name for o in model.graph.output] == [
        "aged",
        "mask",
    ]


def test_the_card_comes_back_and_is_completed(family: tuple[nn.Module, Preset], exported: tuple[Path, Comparison]) -> None:
    _, found = read_model(exported[0])
    assert (found.step, found.terms, found.precision, found.preset) == (5, "for tests", "fp32", family[1].name)
    assert found.parameters == sum(p.numel() for p in family[0].parameters())
    assert found.macs > 0


def test_the_graphs_own_shapes_cost_what_torch_counted(exported: tuple[Path, Comparison]) -> None:
    from reaging.benchmarks.graph_cost import graph_macs

    counted = read_model(exported[0])[1].macs
    # the fast form of the small ones adds up nine taps for the mask, which counts in a network as small as this
    assert graph_macs(exported[0]) == pytest.approx(counted, rel=1e-2)


def test_another_size_where_the_network_takes_it(tiny: nn.Module, tmp_path: Path) -> None:
    fits = ModelCard("generator", "tiny", (64, 64))
    export_onnx(tiny, fits, tmp_path / "large.onnx", size=96)
    assert read_model(tmp_path / "large.onnx")[1].size == (96, 96)
    with pytest.raises(ReagingError, match="50 x 50"):
        export_onnx(tiny, fits, tmp_path / "odd.onnx", size=50)
    assert not (tmp_path / "odd.onnx").exists()


def test_pix2pix_takes_a_source_age_or_none(tmp_path):
    """Without it the file answers for the middle group; with it, one for the batch or one per face, as torch does."""
    preset = dataclasses.replace(PRESETS["pix2pix-3"], size=32)
    torch.manual_seed(0)
    network = build_generator(preset).eval()
    export_onnx(network, card(preset), tmp_path / "m.onnx")
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image", "age"]
    image, age = torch.rand(2, 3, 32, 32) * 2 - 1, torch.tensor([10.0, 70.0])
    for source in (None, torch.tensor([60.0]), torch.tensor([60.0, 5.0])):
        given = {} if source is None else {"source_age": source.numpy()}
        aged = session.run(["aged"], {"image": image.numpy(), "age": age.numpy(), **given})[0]
        with torch.no_grad():
            assert np.abs(aged - network(image, age, source)[0].numpy()).max() < 1e-4
