"""The peers are the published networks: in size, in work, and where their arithmetic was written differently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

from reaging.benchmarks import peer_blocks, peer_networks, peers
from reaging.benchmarks.cli import main
from reaging.benchmarks.graph_cost import graph_cost
from reaging.benchmarks.peers import PEERS, Peer

# parameters and multiply-accumulates as the project's survey of the field gives them
FIELD = {
    "fran-512": (31.0e6, 193e9),
    "fran-1024": (31.0e6, 772e9),
    "hrfae-256": (1.49e6, 11.3e9),
    "hrfae-1024": (1.49e6, 181e9),
    "lats-256": (11.6e6, 56.2e9),
    "pfa-gan-256": (4.57e6, 24.0e9),
    "fast-aging-gan-256": (0.16e6, 2.0e9),
    "fast-aging-gan-512": (0.16e6, 8.1e9),
    "ragan-trunk-256": (33.9e6, 48.6e9),
    "pix2pix-3-256": (54.4e6, 6.1e9),
}


@pytest.mark.parametrize("name", list(PEERS))
def test_parameters_and_macs_are_the_published_ones(name: str) -> None:
    parameters, macs = peers.published_cost(PEERS[name], PEERS[name].build())
    assert parameters == pytest.approx(FIELD[name][0], rel=0.03)
    assert macs == pytest.approx(FIELD[name][1], rel=0.015)


def test_another_network_is_refused_before_it_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "fran-512", Peer(peer_networks.Hrfae, 512, "31.0", "193"))
    with pytest.raises(RuntimeError, match=r"1\.489 M parameters, published with 31\.0"):
        peers.write_peer("fran-512", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("count", "published", "same"), [(31.04, "31.0", True), (31.06, "31.0", False), (193.4, "193", True), (0.166, "0.16", False)]
)
def test_a_figure_matches_to_its_last_digit(count: float, published: str, same: bool) -> None:
    assert peers.matches(count, published) is same


@pytest.mark.parametrize(
    "build",
    [peer_networks.Fran, peer_networks.Hrfae, peer_networks.Lats, peer_networks.PfaGan, peer_networks.FastAging, peer_networks.RaganTrunk],
)
def test_they_run_and_those_that_take_an_age_use_it(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network, image = build().eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        (young, mask), (old, _) = network(image, torch.tensor([5.0])), network(image, torch.tensor([65.0]))
    assert young.shape == image.shape and mask.shape == (1, 1, 64, 64)
    assert torch.isfinite(young).all() and (mask == 1).all()
    assert torch.equal(young, old) == (build is peer_networks.FastAging)


def test_modulated_convolution_is_stylegan2s() -> None:
    torch.manual_seed(0)
    layer, x, style = peer_blocks.ModulatedConv(4, 6, 8), torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    scale = 1 + peer_blocks.pixel_norm(layer.affine(style))
    for i in range(2):  # weights of each face: scaled per input channel, then every output channel to unit length
        weights = layer.conv.weight * scale[i][None, :, None, None]
        weights = weights / torch.sqrt(weights.square().sum((1, 2, 3), keepdim=True) + 1e-5)
        expected = F.conv2d(F.pad(x[i : i + 1], (1, 1, 1, 1), mode="reflect"), weights) + layer.bias
        torch.testing.assert_close(layer(x, style)[i : i + 1], expected)


def test_blur_keeps_a_flat_picture_and_halves_the_side() -> None:
    flat = torch.full((1, 3, 8, 8), 0.7)
    torch.testing.assert_close(peer_blocks.Blur(3)(flat), flat)
    assert peer_blocks.Blur(3, stride=2)(flat[..., :7, :7]).shape == (1, 3, 4, 4)  # after a maximum pool with stride 1


def test_the_report_has_ours_beside_a_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "fast-aging-gan-256", Peer(peer_networks.FastAging, 64, "0.16", "0.1"))  # small: this is about the report
    out, tables = tmp_path / "peers.json", tmp_path / "peers.md"
    options = ["--peer", "fast-aging-gan-256", "--threads", "1", "--rounds", "1", "--json", str(out), "--markdown", str(tables)]
    run = CliRunner().invoke(main, ["peers", *options])
    assert run.exit_code == 0, run.output
    ours, peer = json.loads(out.read_text())["cases"]
    assert (ours["model"], peer["model"]) == ("mobile-256.onnx", "fast-aging-gan-256.onnx")
    assert peer["macs"] == pytest.approx(2.02e9 / 16, rel=0.01)
    by_clock, by_cpu = (a / b for a, b in ((peer["per_face_ms"], ours["per_face_ms"]), (peer["cpu_ms"]["p50"], ours["cpu_ms"]["p50"])))
    (row,) = [line for line in tables.read_text().split("\n\n")[0].splitlines() if peer["model"] in line]
    assert [cell.strip() for cell in row.split("|")][-3:-1] == [f"{by_clock:.1f}", f"{by_cpu:.1f}"]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--peer", "stable-diffusion"], "no peer stable-diffusion"), (["--backend", "torch"], "peers do not run")]
)
def test_errors_are_one_line(arguments: list[str], message: str) -> None:
    run = CliRunner().invoke(main, ["peers", *arguments])
    assert run.exit_code == 2
    assert message in run.output and run.output.count("\n") == 1


def test_the_graph_of_a_peer_with_its_own_kernels_is_counted_whole(tmp_path: Path) -> None:
    """The blurs are in the file, not among the published parameters: a per cent at most."""
    from reaging.export.onnx import build_onnx, save

    model = build_onnx(peer_networks.Fran(), 64)
    save(model, tmp_path / "fran.onnx")
    cost = graph_cost(tmp_path / "fran.onnx")
    assert 1 < cost.parameters / 31_033_027 < 1.002
    assert 1 < cost.macs / (48.251273216e9 / 16) < 1.005
