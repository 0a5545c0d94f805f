"""Engines: real builds with TensorRT-RTX (it needs no GPU), full TensorRT's path on a stand-in, and every error of both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from gpu_fakes import FakeTensorRT, fake_gpu, printed
from torch import nn

from reaging.card import ModelCard
from reaging.errors import ReagingError
from reaging.export.build_watch import Phases, watched
from reaging.export.cli import main
from reaging.export.engine import Effort, build_engine
from reaging.export.engine_order import EngineOrder, build_and_check, verify_engine
from reaging.export.fp16 import export_fp16
from reaging.export.onnx import export_onnx
from reaging.export.show import describe
from reaging.export.verify import random_inputs
from reaging.presets import Preset
from reaging.runtime.backends import engines
from reaging.runtime.backends.engine_cache import cached_path, engine_key
from reaging.runtime.backends.engines import read_facts, read_plan
from reaging.runtime.backends.modelfile import read_model
from reaging.runtime.bundled import generator_path
from reaging.runtime.cuda.compile import kernels_beside, read_kernels
from reaging.runtime.cuda.driver import Gpu

BUNDLED = generator_path(None).parent
RTX = ("SM86",)


@pytest.fixture(scope="module")
def model(tiny: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "m.onnx"
    export_onnx(tiny, ModelCard("generator", "tiny", (64, 64)), path)
    return path


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeTensorRT]:
    """Full TensorRT, a stand-in."""
    with fake_gpu(monkeypatch, tmp_path) as (_, trt):
        yield trt


@pytest.fixture
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx")


def layers(path: Path) -> list[tuple[str, str]]:
    """Type and precision of every layer, as TensorRT-RTX parses the model."""
    import tensorrt_rtx as trt

    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(path.read_bytes())
    every = [network.get_layer(i) for i in range(network.num_layers)]
    return [(layer.type.name, layer.get_output(0).dtype.name) for layer in every]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_rtx_builds_every_family(rtx: None, family: tuple[nn.Module, Preset], tmp_path: Path, precision: str) -> None:
    generator, preset = family
    path, out = tmp_path / "m.onnx", tmp_path / "m.engine"
    (export_fp16 if precision == "fp16" else export_onnx)(generator, ModelCard("generator", preset.name, (preset.size,) * 2), path)
    facts = build_engine(path, out, (1, 2, 5), "tensorrt-rtx", RTX)
    assert out.read_bytes()[:4] == b"vtrt" and read_facts(out) == facts and read_plan(facts, out) == out.read_bytes()
    assert (facts.batch, facts.precision, facts.compute_capability, facts.driver) == ((1, 2, 5), precision, "SM86", "")
    kinds = {dtype for kind, dtype in layers(path) if kind in ("CONVOLUTION", "DECONVOLUTION")}
    assert kinds == {"HALF" if precision == "fp16" else "FLOAT"}
    assert all(dtype == "FLOAT" for kind, dtype in layers(path) if kind == "NORMALIZATION")  # sums stay in float32


@pytest.mark.parametrize("name", sorted(p.name for p in BUNDLED.glob("*.onnx")))
def test_rtx_builds_every_bundled_model(rtx: None, tmp_path: Path, name: str) -> None:
    card, out = read_model(BUNDLED / name)[1], tmp_path / "m.engine"
    if card.precision == "int8":
        with pytest.raises(ReagingError, match="is int8, which is for processors"):
            build_engine(BUNDLED / name, out, flavor="tensorrt-rtx", targets=RTX)
        return
    facts = build_engine(BUNDLED / name, out, (1, 1, 4), "tensorrt-rtx", ("SM80", "SM89"))
    assert facts.card == card and facts.compute_capability == "SM80,SM89" and out.read_bytes()[:4] == b"vtrt"


def test_a_later_builds_log_is_its_own(rtx: None, tmp_path: Path) -> None:
    """TensorRT goes on with the first logger that it is given; Turing has no float32 matrix product in it."""
    build_engine(generator_path(None), tmp_path / "m.engine", flavor="tensorrt-rtx", targets=RTX)
    with pytest.raises(ReagingError, match=r"its log: .*SM75"):
        build_engine(generator_path(None), tmp_path / "m.engine", flavor="tensorrt-rtx", targets=("SM75",))
    assert read_facts(tmp_path / "m.engine").compute_capability == "SM86"  # the one that was there stays


def test_it_says_what_it_builds_and_for_what_and_that_it_is_there_already(rtx: None, model: Path, tmp_path: Path) -> None:
    lines, says = printed()
    build_engine(model, tmp_path / "m.engine", (1, 2, 4), "tensorrt-rtx", RTX, Effort(256, 1), says)
    assert lines[0].startswith(f"building {tmp_path / 'm.engine'}: tiny fp32 64 x 64, 1 to 4 faces (tuned for 2), for any RTX card (SM86)")
    assert lines[0].endswith("256 MB, level 1") and "tensorrt-rtx" in lines[0] and lines[-1].startswith("  built in ")
    lines.clear()
    build_engine(model, tmp_path / "m.engine", (1, 2, 4), "tensorrt-rtx", RTX, Effort(256, 1), says)
    assert len(lines) == 1 and "is there already" in lines[0]
    lines.clear()
    build_engine(model, tmp_path / "m.engine", (1, 2, 4), "tensorrt-rtx", RTX, Effort(256, 2), says)  # another effort is another engine
    assert lines[0].startswith("building") and read_facts(tmp_path / "m.engine").level == 2
    assert any("tensorrt-rtx" in line for line in describe(tmp_path / "m.engine"))


def test_rtx_tells_its_progress_and_can_be_stopped(rtx: None, monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path) -> None:
    from reaging.export import build_watch

    monkeypatch.setattr(build_watch, "EVERY_S", 0.0)
    monkeypatch.setattr(build_watch, "PATIENCE_S", 0.001)
    lines, says = printed()
    build_engine(model, tmp_path / "m.engine", flavor="tensorrt-rtx", targets=RTX, says=says)
    assert any(" s: " in line and " of " in line for line in lines), lines
    stopped = Phases()
    stopped.cancelled.set()
    monkeypatch.setattr("reaging.export.engine.Phases", lambda: stopped)
    with pytest.raises(ReagingError, match=r"the build failed; its log: .*[Cc]ancel"):
        build_engine(model, tmp_path / "other.engine", flavor="tensorrt-rtx", targets=RTX)
    assert not list(tmp_path.glob("*other*"))


def test_rtx_shows_its_log_and_leaves_nothing_where_it_refuses(rtx: None, tmp_path: Path, tinting: Path) -> None:
    import onnx

    bad = onnx.load(tinting)
    bad.graph.node[0].op_type = "Abracadabra"
    onnx.save(bad, tmp_path / "bad.onnx")
    with pytest.raises(ReagingError, match=r"does not read the model \(.*Abracadabra") as caught:
        build_engine(tmp_path / "bad.onnx", tmp_path / "m.engine", flavor="tensorrt-rtx", targets=RTX)
    assert "\n" not in str(caught.value)
    with pytest.raises(ReagingError, match="targets SM90 are not usable"):
        build_engine(tinting, tmp_path / "m.engine", flavor="tensorrt-rtx", targets=("SM90",))
    assert [p.name for p in tmp_path.iterdir()] == ["bad.onnx"]


def test_full_tensorrt_gets_what_was_asked_for(full: FakeTensorRT, tinting: Path, tmp_path: Path) -> None:
    lines, says = printed()
    facts = build_engine(tinting, tmp_path / "m.engine", (1, 2, 3), effort=Effort(77, 5), says=says)
    assert (facts.flavor, facts.gpu, facts.compute_capability, facts.driver) == ("tensorrt", "Fake GPU 8000", "8.9", "580.1")
    assert full.seen["workspace"] == 77 << 20 and full.seen["builder_optimization_level"] == 5
    assert full.seen["profile"] == {"image": ((1, 3, 64, 64), (2, 3, 64, 64), (3, 3, 64, 64)), "age": ((1,), (2,), (3,))}
    assert "for Fake GPU 8000 (8.9), with tensorrt 11.4.0.106, 77 MB, level 5" in lines[0]


def test_kernel_timings_are_kept_for_gpu_and_version(full: FakeTensorRT, tinting: Path, tmp_path: Path) -> None:
    (kept,) = [tmp_path / "cache" / "timing" / "tensorrt-11.4.0.106-Fake_GPU_8000-8.9.cache"]
    build_engine(tinting, tmp_path / "a.engine")
    assert kept.read_bytes() == b"timings"
    build_engine(tinting, tmp_path / "b.engine")
    kept.write_bytes(b"damaged")
    build_engine(tinting, tmp_path / "c.engine")
    assert full.timings == [b"", b"timings", b"damaged", b""]  # one that TensorRT refuses is begun anew


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("network", "makes no network"),
        ("parse", r"does not read the model \(no such operator\)"),
        ("config", "makes no configuration"),
        ("profile", "makes no optimization profile"),
        ("batch", "refuses the batch sizes"),
        ("build", "the build failed; its log: no kernel for node 7"),
    ],
)
def test_every_step_that_gives_none_is_an_error_and_leaves_nothing(
    full: FakeTensorRT, tinting: Path, tmp_path: Path, step: str, message: str
) -> None:
    full.fails = step
    with pytest.raises(ReagingError, match=message):
        build_engine(tinting, tmp_path / "m.engine")
    assert not [p for p in tmp_path.iterdir() if p.name != "cache"]


def test_an_interrupt_stops_the_builder_and_waits_for_it() -> None:
    phases, ended = Phases(), threading.Event()
    lines, says = printed()

    def build() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while phases.step("Timing kernels", 1):
            time.sleep(0.01)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        watched(build, phases, says)
    assert ended.is_set() and lines == ["  stopping the build"]


TWO = """
import sys, pytest
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gpu_fakes import fake_gpu
from reaging.runtime.backends.tensorrt import TensorRT
with pytest.MonkeyPatch.context() as patch, fake_gpu(patch, Path(sys.argv[2])) as (_, trt):
    trt.slow_s = 1.0
    backend = TensorRT(sys.argv[3])
    print(trt.builds, backend.engine_path)
"""


def test_two_processes_at_once_build_once_and_both_run(full: FakeTensorRT, tinting: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TWO, str(Path(__file__).parents[1]), str(tmp_path), str(tinting)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    answers = [process.communicate(timeout=60) for process in running]
    assert all(process.returncode == 0 for process in running), answers
    builds, paths = zip(*(out.split() for out, _ in answers), strict=True)
    assert sorted(builds) == ["0", "1"] and paths[0] == paths[1]


def test_the_key_changes_with_everything_an_engine_depends_on(tinting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, card = read_model(tinting)
    gpu = Gpu("a card", "8.9", "580")
    base = (data, card, "tensorrt", "11.4", gpu, (1, 1, 4))
    others = [
        (data + b"\0", *base[1:]),
        (data, ModelCard("generator", "tinting", (64, 64), "fp16"), *base[2:]),
        (*base[:2], "tensorrt-rtx", *base[3:]),
        (*base[:3], "11.5", *base[4:]),
        *((*base[:4], other, base[5]) for other in (Gpu("b", "8.9", "580"), Gpu("a card", "8.6", "580"), Gpu("a card", "8.9", "581"))),
        (*base[:5], (1, 1, 8)),
    ]
    keys = {engine_key(*arguments) for arguments in [base, *others]}
    assert len(keys) == 1 + len(others) and engine_key(*base) in keys
    monkeypatch.setenv("REAGING_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ReagingError, match="set REAGING_CACHE"):
        cached_path(tinting, "tensorrt", "11.4", gpu)


def test_without_a_package_it_says_which_to_install(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "FLAVORS", {"tensorrt": "no_such_tensorrt", "tensorrt-rtx": "no_such_rtx"})
    with pytest.raises(ReagingError, match="pip install tensorrt-rtx"):
        build_engine(model, tmp_path / "m.engine")
    assert not list(tmp_path.iterdir())


def test_full_tensorrt_without_a_driver_is_refused_before_it_is_touched(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reaging.runtime.cuda import driver

    package = tmp_path / "packages"
    package.mkdir()
    # nothing but a name: any use of it would be an AttributeError
    (package / "tensorrt_double.py").write_text("__version__ = '11.0'\n")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setattr(engines, "FLAVORS", {"tensorrt": "tensorrt_double"})
    monkeypatch.setattr(driver, "LIBRARY", "libno_such_cuda.so.1")
    driver.driver_error.cache_clear()
    try:
        with pytest.raises(ReagingError, match="there is none here"):
            build_engine(model, tmp_path / "m.engine")
    finally:
        driver.driver_error.cache_clear()
    assert [p.name for p in tmp_path.iterdir()] == ["packages"]


def test_only_our_models_and_sensible_orders_are_built(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ReagingError, match="least <= best <= most"):
        build_engine(model, tmp_path / "m.engine", batch=(2, 1, 4))
    with pytest.raises(ReagingError, match="level 0 to 5"):
        build_engine(model, tmp_path / "m.engine", effort=Effort(1024, 6))
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"no model")
    with pytest.raises(ReagingError, match="no ONNX model"):
        build_engine(foreign, tmp_path / "m.engine")


@pytest.mark.parametrize(
    ("answer", "message"), [(0.25, r"at -?[0-9.]+ dB .*the engine was removed"), (np.nan, "finite .*the engine was removed")]
)
def test_an_engine_is_held_against_its_model_and_removed_where_it_differs(
    full: FakeTensorRT,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: float,
    message: str,
) -> None:
    out = tmp_path / "m.engine"
    full.half = True  # of float16 pictures: near the model, not equal to it
    build_and_check(model, EngineOrder(out, (1, 1, 4)), None, True, None)
    text = capsys.readouterr().out
    assert "compared on 42 inputs" in text and "PSNR" in text
    kernels = read_kernels(kernels_beside(out))
    assert "frame kernels" in text and (kernels is None or kernels[0] == "sm_89")
    monkeypatch.setattr("gpu_fakes._Context._run", lambda self: [self._array(name).fill(answer) for name in ("aged", "mask")])
    with pytest.raises(ReagingError, match=message):
        verify_engine(out, model, random_inputs(64))
    assert not [p for p in tmp_path.iterdir() if p.name != "cache"]


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.output


def test_the_command_builds_from_an_onnx_file_and_from_a_checkpoint(rtx: None, model: Path, checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(model.read_bytes())
    code, text = invoke(own, "--engine", "--workspace", 99, "--opt-level", 0, "--targets", "sm89")
    assert code == 0, text
    facts = read_facts(tmp_path / "own.engine")
    assert (facts.workspace_mb, facts.level, facts.compute_capability) == (99, 0, "SM89")
    code, text = invoke(checkpoint, tmp_path / "new.onnx", "--fp16", "--batch", "1,2,3", "--engine", tmp_path / "other.engine", "--verify")
    assert code == 0, text
    assert read_facts(tmp_path / "other.engine").precision == "fp16" and (tmp_path / "new.onnx").is_file()
    assert "was not compared" in text or "PSNR" in text.split("wrote", 2)[2]
    assert json.loads((tmp_path / "other.engine.json").read_text())["batch"] == [1, 2, 3]


def test_the_command_refuses_in_one_line(model: Path, checkpoint: Path, tmp_path: Path) -> None:
    cases: list[tuple[list[object], str]] = [
        ([model, "--fp16", "--engine", tmp_path / "a.engine"], "is fp32"),
        ([model, "--engine", tmp_path / "a.onnx"], "is no name for an engine"),
        ([model, "--engine", "--size", 64], "is exported already"),
        ([checkpoint, tmp_path / "a.onnx", "--opt-level", 3], "are for --engine"),
        ([model, "--engine", tmp_path / "a.engine", "--opt-level", 6], "0<=x<=5"),
        ([model, "--engine", tmp_path / "a.engine", "--batch", "4,1,1"], "--batch"),
        ([checkpoint, "--engine"], "MODEL is missing"),
        ([checkpoint, tmp_path / "a.onnx", "--int8", tmp_path, "--engine"], "--int8 is for processors"),
        ([model, "--engine", tmp_path / "none" / "a.engine"], "existing folder"),
    ]
    for arguments, message in cases:
        code, text = invoke(*arguments)
        assert code == 2 and message in text and text.count("\n") == 1, (arguments, text)
    assert not list(tmp_path.iterdir())
