"""Engines: a real build where TensorRT-RTX is installed (it needs no GPU), and every error before one."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from torch import nn

from reaging.card import ModelCard
from reaging.errors import ReagingError
from reaging.export import engine as engine_module
from reaging.export.engine import build_engine
from reaging.export.onnx import export_onnx
from reaging.export.show import describe
from reaging.runtime.backends.tensorrt import read_facts


@pytest.fixture(scope="module")
def model(tiny: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "m.onnx"
    export_onnx(tiny, ModelCard("generator", "tiny", (64, 64)), path)
    return path


def test_without_a_package_it_says_which_to_install(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "FLAVORS", {"tensorrt": "no_such_tensorrt", "tensorrt-rtx": "no_such_rtx"})
    with pytest.raises(ReagingError, match="pip install tensorrt-rtx"):
        build_engine(model, tmp_path / "m.engine")
    assert not list(tmp_path.iterdir())


def test_full_tensorrt_without_a_driver_is_refused_before_it_is_touched(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages"
    package.mkdir()
    # nothing but a name: any use of it would be an AttributeError
    (package / "tensorrt_double.py").write_text("__version__ = '11.0'\n")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setattr(engine_module, "FLAVORS", {"tensorrt": "tensorrt_double"})
    monkeypatch.setattr(engine_module, "DRIVER", "libno_such_cuda.so.1")
    with pytest.raises(ReagingError, match="there is none here"):
        build_engine(model, tmp_path / "m.engine")
    assert [p.name for p in tmp_path.iterdir()] == ["packages"]


def test_only_our_models_and_sensible_batches_are_built(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ReagingError, match="least <= best <= most"):
        build_engine(model, tmp_path / "m.engine", batch=(2, 1, 4))
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"no model")
    with pytest.raises(ReagingError, match="no ONNX model"):
        build_engine(foreign, tmp_path / "m.engine")


@pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")
def test_rtx_builds_a_plan_that_the_runtime_can_read(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.engine"
    build_engine(model, out, batch=(1, 2, 4), flavor="tensorrt-rtx", targets=("SM86",))
    assert out.read_bytes()[:4] == b"vtrt"
    facts = read_facts(out)
    assert facts.batch == (1, 2, 4) and facts.precision == "fp32" and facts.card.preset == "tiny"
    assert json.loads(Path(f"{out}.json").read_text())["compute_capability"] == "SM86"
    assert any("tensorrt-rtx" in line for line in describe(out))
    with pytest.raises(ReagingError, match="SM90"):
        build_engine(model, out, flavor="tensorrt-rtx", targets=("SM90",))
