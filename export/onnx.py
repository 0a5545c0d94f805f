"""A generator as one self-contained ONNX file: inputs ``image`` and ``age``, outputs ``aged`` and ``mask``, any batch."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .. import __version__
from ..card import CARD_KEY, ModelCard
from ..errors import ReagingError
from ..files import whole_file
from ..nets.cost import count_macs, count_parameters
from .fast import fast_form
from .verify import FP32_TOLERANCE, Array, Comparison, Runner, TestInputs, compare, onnx_runner, random_inputs, require

OPSET = 18
SOURCE_AGE = 30.0  # years: of the middle group, what pix2pix takes a face for where nothing is said


def export_onnx(
    generator: nn.Module,
    card: ModelCard,
    path: str | Path,
    size: int | None = None,
    opset: int = OPSET,
    inputs: TestInputs | None = None,
) -> Comparison:
    """Writes ``generator`` as float32 ONNX and returns how far ONNX Runtime's answers are from torch's.

    ``size`` is the side of the input in pixels, the card's where it is not given; ``inputs`` are what both are run on, a few random
    pictures where they are not given.  Raises ReagingError, and leaves no file, where the network cannot take that size or
    the file's outputs differ by more than FP32_TOLERANCE.
    """
    side = size or card.size[0]
    full_card = complete_card(generator, card, side, "fp32")
    return save_compared(build_onnx(generator, side, opset), generator, full_card, path, inputs, tolerance=FP32_TOLERANCE)


def save_compared(
    model: onnx.ModelProto,
    generator: nn.Module,
    card: ModelCard,
    path: str | Path,
    inputs: TestInputs | None = None,
    tolerance: float | None = None,
) -> Comparison:
    """Writes a traced generator with its card, once ONNX Runtime's answers are close enough to torch's; raises ReagingError otherwise."""
    write_card(model, card)
    comparison = compare(torch_runner(generator), onnx_runner(model.SerializeToString()), inputs or random_inputs(card.size[0]))
    require(comparison, tolerance=tolerance)
    save(model, path)
    return comparison


def build_onnx(generator: nn.Module, size: int, opset: int = OPSET, eight_bit: bool = False) -> onnx.ModelProto:
    """The checked graph of a generator at ``size`` x ``size``, without a card, in the form that is fast on processors.

    BatchNorms are folded away, and nothing in it tells of the machine it was made on.  The generator itself is not changed.
    ``eight_bit`` says that the graph is to be quantized.
    """
    network = fold_batch_norms(copy.deepcopy(generator).cpu().eval())
    return trace(fast_form(network, eight_bit), size, opset)


def trace(network: nn.Module, size: int, opset: int = OPSET) -> onnx.ModelProto:
    """ONNX of ``network(image, age) -> (aged, mask)`` as it is, which must take this size.

    A network that also takes ``source_age`` (pix2pix) gets it as an optional third input [1] or [N] with a default.
    """
    batch = torch.export.Dim("batch", min=1, max=64)
    example: tuple[Tensor, ...] = (torch.zeros(2, 3, size, size), torch.tensor([20.0, 70.0]))
    names, shapes = ["image", "age"], [{0: batch}, {0: batch}]
    if "source_age" in inspect.signature(network.forward).parameters:
        example, names, shapes = (*example, torch.tensor([SOURCE_AGE])), [*names, "source_age"], [*shapes, {}]
    model = graph_of(_Float32Outputs(network).eval(), example, names, ["aged", "mask"], (tuple(shapes),), opset)
    if "source_age" in names:
        _give_default(model, "source_age", np.array([SOURCE_AGE], np.float32))
        onnx.checker.check_model(model, full_check=True)
    left = {node.op_type for node in model.graph.node} & {"BatchNormalization"}
    assert not left, "fold_batch_norms left a BatchNormalization"
    return model


def graph_of(
    network: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str], dynamic_shapes: Any, opset: int = OPSET
) -> onnx.ModelProto:
    """The checked graph of any network as torch exports it, without what the exporter notes about the source."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic_shapes,
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # None is the legacy exporter's answer
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _give_default(model: onnx.ModelProto, name: str, value: Array) -> None:
    """Makes an input optional: an initializer of the same name is what it is where it is not given."""
    model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    declared = next(i for i in model.graph.input if i.name == name)
    declared.type.tensor_type.shape.dim[0].dim_param = "sources"


class _Float32Outputs(nn.Module):
    """Shows the exporter the inputs of inference only, and gives float32 whatever is computed inside."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        aged, mask = self.network(*inputs)
        return aged.float(), mask.float()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's progress and deprecation lines are about its own insides; its errors are exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class FixedScale(nn.Module):
    """What a BatchNorm does at inference: ``x * scale + shift`` per channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d):
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        scale = torch.rsqrt(norm.running_var + norm.eps)
        shift = -norm.running_mean * scale
        if norm.affine:
            scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
        self.register_buffer("scale", scale.detach()[:, None, None])
        self.register_buffer("shift", shift.detach()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Changes ``network`` (in eval mode) in place: a BatchNorm right after a convolution joins it; others become FixedScale."""
    for name, module in list(network.named_children()):
        if isinstance(module, nn.BatchNorm2d):
            setattr(network, name, FixedScale(module))
        elif isinstance(module, nn.Sequential):
            setattr(network, name, _fold_sequence(module))
        else:
            fold_batch_norms(module)
    return network


def _fold_sequence(sequence: nn.Sequential) -> nn.Module:
    layers: list[nn.Module] = []
    for layer in sequence:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d | nn.ConvTranspose2d):
            layers[-1] = fuse_conv_bn_eval(before, layer, transpose=isinstance(before, nn.ConvTranspose2d))
        elif isinstance(layer, nn.Sequential):
            layers.append(_fold_sequence(layer))
        else:
            layers.append(FixedScale(layer) if isinstance(layer, nn.BatchNorm2d) else fold_batch_norms(layer))
    return nn.Sequential(*layers)


def strip(model: onnx.ModelProto) -> None:
    """Removes what the exporter notes about the source: file paths, stack traces, module names."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""


def complete_card(generator: nn.Module, card: ModelCard, size: int, precision: str) -> ModelCard:
    """``card`` with what is known here: size, precision, parameters, MACs of one face, and the version of this package.

    Raises ReagingError where the network does not take that size.
    """
    try:
        macs = count_macs(generator, torch.zeros(1, 3, size, size), torch.tensor([30.0]))
    except RuntimeError as error:
        raise ReagingError(
            f"the network cannot take {size} x {size} pixels ({str(error).splitlines()[0]})",
            f"the size it was trained at ({card.size[0]}), or a multiple of its stride",
            "export without --size",
        ) from None
    parameters = count_parameters(generator)
    return dataclasses.replace(card, size=(size, size), precision=precision, parameters=parameters, macs=macs, version=__version__)


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Puts the card into the model's metadata, in place of an earlier one."""
    kept = [(p.key, p.value) for p in model.metadata_props if p.key != CARD_KEY]
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**dict(kept), CARD_KEY: card.to_json()})


def save(model: onnx.ModelProto, path: str | Path) -> None:
    """Writes the model whole or not at all; raises ReagingError where the place cannot be written."""
    with whole_file(path) as part:
        part.write_bytes(model.SerializeToString())


def torch_runner(generator: nn.Module) -> Runner:
    """Runs a generator as it is, in eval mode, on the CPU."""
    network = generator.eval()

    def run(image: Array, age: Array) -> tuple[Array, Array]:
        with torch.no_grad():
            aged, mask = network(torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(age)))
        return aged.float().numpy(), mask.float().numpy()

    return run
