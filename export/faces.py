"""The finder and the aligner: checkpoint (averaged weights) -> one self-contained ONNX file with its card."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from .. import __version__
from ..card import ModelCard
from ..errors import ReagingError
from ..nets.cost import count_macs, count_parameters
from ..nets.faces import Aligner, AlignerPreset, Finder, FinderPreset
from ..presets import preset_from_dict
from ..training.checkpoint import load_checkpoint
from .onnx import fold_batch_norms, graph_of, save, write_card

TOLERANCE = 1e-4  # largest difference between ONNX Runtime and torch that is let pass
FRAME = (256, 320)  # height, width of the finder's input for a frame of 640 x 480
TERMS = "research and evaluation: trained on synthetic faces (StyleGAN2, non-commercial) and photos gathered for research"


def export_faces(checkpoint: Path, out: Path) -> None:
    """Writes the ONNX file of a finder's or an aligner's checkpoint.

    Finder: ``frame`` [1, 3, H, W] RGB, -1 to 1, H and W multiples of 32 -> ``level8``, ``level16``, ``level32`` [1, 11, H/s, W/s].
    Aligner: ``crop`` [N, 3, S, S] RGB, -1 to 1 -> ``landmarks`` [N, 5, 2] and ``face`` [N] (nets/faces.py says what they mean).
    Raises ReagingError, and leaves no file, where the checkpoint is of something else or ONNX Runtime's answers are not torch's.
    """
    content = load_checkpoint(checkpoint)
    preset = preset_from_dict(content["preset"])
    network: nn.Module
    if isinstance(preset, FinderPreset):
        network, size = Finder(preset), FRAME
    elif isinstance(preset, AlignerPreset):
        network, size = Aligner(preset), (preset.size, preset.size)
    else:
        raise ReagingError(f"{checkpoint} holds a {preset.name}", "a finder or an aligner", "export it as a generator")
    try:
        network.load_state_dict(content["ema"][preset.name])
    except (KeyError, RuntimeError):
        raise ReagingError(f"{checkpoint} does not fit its preset", "weights of this version's network", "train again") from None
    network.eval().requires_grad_(False)
    example = torch.zeros(1, 3, *size)
    card = ModelCard(
        kind=preset.name,
        preset=preset.name,
        size=size,
        parameters=count_parameters(network),
        macs=count_macs(network, example),
        step=int(content["step"]),
        data=str(content.get("data", "")),
        terms=TERMS,
        version=__version__,
    )
    model = build(fold_batch_norms(copy.deepcopy(network)), preset.name, size)
    verify(model, network, preset.name, size)
    write_card(model, card)
    save(model, out)


def build(network: nn.Module, kind: str, size: tuple[int, int]) -> onnx.ModelProto:
    """The checked graph, without a card: any height and width for the finder, any batch for the aligner."""
    if kind == "finder":
        names, outputs = ["frame"], ["level8", "level16", "level32"]
        high, wide = torch.export.Dim("high", min=1, max=64), torch.export.Dim("wide", min=1, max=64)
        dynamic = {2: 32 * high, 3: 32 * wide}
        example = torch.zeros(1, 3, *size)
    else:
        names, outputs = ["crop"], ["landmarks", "face"]
        dynamic = {0: torch.export.Dim("batch", min=1, max=256)}
        example = torch.zeros(2, 3, *size)
    return graph_of(network, (example,), names, outputs, (dynamic,))


def verify(model: onnx.ModelProto, network: nn.Module, kind: str, size: tuple[int, int]) -> None:
    """Raises ReagingError where ONNX Runtime and torch differ by more than TOLERANCE on random pictures of two shapes."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    shapes = [(1, 3, *size), (1, 3, 320, 192)] if kind == "finder" else [(1, 3, *size), (3, 3, *size)]
    for shape in shapes:
        picture = rng.uniform(-1, 1, shape).astype(np.float32)
        with torch.no_grad():
            expected: tuple[Tensor, ...] = network(torch.from_numpy(picture))
        found = session.run(None, {session.get_inputs()[0].name: picture})
        worst = max(float(np.abs(f - e.numpy()).max()) for f, e in zip(found, expected, strict=True))
        if not worst <= TOLERANCE:
            remedy = "report this: the export is wrong"
            raise ReagingError(f"ONNX Runtime differs from torch by {worst:.2g}", f"at most {TOLERANCE:g}", remedy)
