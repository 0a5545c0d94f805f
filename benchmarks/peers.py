"""The peers by name, each held to its published parameters and multiply-accumulates before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..card import ModelCard
from ..errors import ReagingError
from ..export.onnx import build_onnx, save, write_card
from ..nets.cost import count_macs, count_parameters
from ..nets.pix2pix import AgePlane, UNetGenerator
from .graph_cost import graph_cost
from .peer_networks import FastAging, Fran, Hrfae, Lats, PfaGan, RaganTrunk

# a file also holds filters and age planes that are not learned parameters of the published network, and stores equal values once
GRAPH_TOLERANCE = 0.01


@dataclass(frozen=True)
class Peer:
    """A network at one size, with the published figures that it must round to before it is timed."""

    build: Callable[[], nn.Module]
    size: int  # pixels
    parameters: str  # millions
    gmac: str  # billions of multiply-accumulates for one face


PEERS = {
    "fran-512": Peer(Fran, 512, "31.0", "193"),
    "fran-1024": Peer(Fran, 1024, "31.0", "772"),
    "hrfae-256": Peer(Hrfae, 256, "1.49", "11.3"),
    "hrfae-1024": Peer(Hrfae, 1024, "1.49", "181"),
    "lats-256": Peer(Lats, 256, "11.6", "56.2"),
    "pfa-gan-256": Peer(PfaGan, 256, "4.57", "24.0"),
    "fast-aging-gan-256": Peer(FastAging, 256, "0.16", "2.0"),
    "fast-aging-gan-512": Peer(FastAging, 512, "0.16", "8.1"),
    "ragan-trunk-256": Peer(RaganTrunk, 256, "33.9", "48.6"),
    "pix2pix-3-256": Peer(partial(UNetGenerator, 256), 256, "54.4", "6.1"),
}


def choose_peers(names: str | None) -> list[str]:
    """``fran-512,lats-256`` -> the two; None -> all.  Raises ReagingError for a name that is none."""
    chosen = names.split(",") if names else list(PEERS)
    unknown = sorted(set(chosen) - set(PEERS))
    if unknown:
        raise ReagingError(f"there is no peer {', '.join(unknown)}", f"some of {', '.join(PEERS)}", "correct --peer")
    return list(dict.fromkeys(chosen))


def published_cost(peer: Peer, network: nn.Module) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one face as the publications count them, from shapes alone: nothing is computed, and
    ``network`` is left without values.

    pix2pix-3's learned age planes are inputs to the published U-Net, not parameters of it.  Raises RuntimeError where the figures do not
    round to the published ones: then this is another network than the one it is called after, and no time of it means anything.
    """
    shapes = network.to("meta")
    planes = sum(count_parameters(m) for m in network.modules() if isinstance(m, AgePlane))
    parameters = count_parameters(network) - planes
    macs = count_macs(shapes, torch.zeros(1, 3, peer.size, peer.size, device="meta"), torch.zeros(1, device="meta"))
    for what, count, published in (("M parameters", parameters / 1e6, peer.parameters), ("GMAC", macs / 1e9, peer.gmac)):
        if not matches(count, published):
            raise RuntimeError(f"a network of {count:.4g} {what}, published with {published}")
    return parameters, macs


def matches(count: float, published: str) -> bool:
    """Is ``count`` the published figure, to its last digit?"""
    digits = len(published.partition(".")[2])
    return f"{count:.{digits}f}" == published


def write_peer(name: str, folder: Path) -> Path:
    """The peer with random weights as an ONNX file in ``folder``, once its parameters and MACs are those that were published.

    Raises RuntimeError where they are not, in the network or in the file.
    """
    peer = PEERS[name]
    parameters, macs = published_cost(peer, peer.build())
    torch.manual_seed(0)
    model = build_onnx(peer.build(), peer.size)
    write_card(model, ModelCard("generator", name, (peer.size, peer.size), note="random weights, for timing only"))
    path = folder / f"{name}.onnx"
    save(model, path)
    cost = graph_cost(path)
    if abs(cost.parameters / parameters - 1) > GRAPH_TOLERANCE or abs(cost.macs / macs - 1) > GRAPH_TOLERANCE:
        raise RuntimeError(f"{name}: the file has {cost.parameters} parameters and {cost.macs} MACs, the network {parameters} and {macs}")
    return path
