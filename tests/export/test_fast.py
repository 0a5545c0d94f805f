"""The fast form of the small generators: the same answers, and none of the nodes that runtimes are slow at."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from reaging.export.fast import fast_form
from reaging.export.onnx import build_onnx, fold_batch_norms
from reaging.presets import Preset

AGES = torch.tensor([0.0, 1.0, 4.4, 17.0, 33.3, 60.0, 79.0, 80.0, 100.0])


@pytest.fixture(scope="module")
def folded(tiny: nn.Module) -> nn.Module:
    return fold_batch_norms(copy.deepcopy(tiny))


@pytest.mark.parametrize("eight_bit", [False, True])
def test_it_answers_as_the_network_does_between_and_beyond_the_class_centers(folded: nn.Module, eight_bit: bool) -> None:
    network = folded
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image = torch.rand(len(AGES), 3, 64, 64) * 2 - 1
    with torch.no_grad():
        wanted, got = network(image, AGES), fast_form(network, eight_bit)(image, AGES)
    for w, g in zip(wanted, got, strict=True):
        assert torch.equal(w == 0, g == 0) and (w - g).abs().max() < 2e-5
    assert wanted[0].std() > 0.1 and (wanted[1] > 0).any()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_graph_is_short_and_moves_no_pixel_alone(tiny: nn.Module) -> None:
    model = build_onnx(tiny, 64)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Gemm") == 3, "the age's path"
    assert "DepthToSpace" not in kinds
    moves = [next(a.ints for a in node.attribute if a.name == "perm") for node in model.graph.node if node.op_type == "Transpose"]
    assert [list(m) for m in moves] == [[0, 1, 3, 2], [0, 1, 3, 2, 4]]  # each moves one axis
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    assert stem.input[0] == "image", "no blocks are formed before the first convolution"
    assert onnx.numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == stem.input[1])).shape[1:] == (3, 12, 12)


def test_other_families_stay_as_they_are(family: tuple[nn.Module, Preset]) -> None:
    assert (fast_form(family[0]) is family[0]) == (family[1].family != "mobile")


def test_steps_between_ages_are_as_even_as_the_network_has_them(folded: nn.Module) -> None:
    """Ramps that add up wrongly would show as a jump at a class center."""
    network = folded
    fine = torch.linspace(0, 100, 401)
    image = (torch.rand(1, 3, 64, 64) * 2 - 1).expand(len(fine), -1, -1, -1)
    with torch.no_grad():
        steps = [np.diff(net(image, fine)[0].mean((1, 2, 3)).numpy()) for net in (network, fast_form(network))]
    assert np.abs(steps[0] - steps[1]).max() < 1e-5
