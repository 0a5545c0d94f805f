"""The TensorRT backend on stand-ins for TensorRT, pycuda and the driver: the class is the real one, down to every call."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from backend_check import check_backend
from gpu_fakes import FakeCuda, FakeTensorRT, fake_gpu, printed

from reaging.errors import ReagingError
from reaging.export.engine import build_engine
from reaging.runtime.backends import choose_backend, open_backend
from reaging.runtime.backends.tensorrt import TensorRT

Fakes = tuple[FakeCuda, FakeTensorRT]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fakes]:
    with fake_gpu(monkeypatch, tmp_path) as fakes:
        yield fakes


@pytest.fixture
def engine(gpu: Fakes, tinting: Path, tmp_path: Path) -> Path:
    """An engine beside its model, for 1 to 4 faces."""
    model = tmp_path / "net.onnx"
    model.write_bytes(tinting.read_bytes())
    build_engine(model, model.with_suffix(".engine"))
    return model.with_suffix(".engine")


def expected(image: np.ndarray, age: np.ndarray, mask: np.ndarray) -> np.ndarray:
    tint = np.float32([0.8, 0.1, -0.8])[None, :, None, None] * ((age - 50) / 100)[:, None, None, None]
    return image + mask * tint


def check(backend: TensorRT, count: int, rng: np.random.Generator, tolerance: float = 1e-5) -> None:
    image = rng.uniform(-1, 1, (count, 3, 64, 64)).astype(np.float32)
    age = rng.uniform(0, 100, count).astype(np.float32)
    aged, mask = backend.run(image, age)
    assert aged.dtype == mask.dtype == np.float32 and mask.shape == (count, 1, 64, 64)
    assert np.abs(aged - expected(image, age, mask)).max() < tolerance
    kept = aged.copy()
    backend.run(-image, age)
    assert np.array_equal(aged, kept)  # not overwritten by the next run


def test_computes_what_every_backend_computes(gpu: Fakes, engine: Path) -> None:
    backend, says = choose_backend(engine.with_suffix(".onnx"), "tensorrt")
    assert isinstance(backend, TensorRT) and says == "device: tensorrt" and backend.card.preset == "tinting"
    for _ in range(3):  # as it is, recorded, replayed
        check_backend(backend, (1, 3, 4, 11, 1))  # 11 are three batches
    assert backend.replay.recorded == 3 and not backend.replay.note  # 1, 3 and 4 faces
    cuda, trt = gpu
    assert cuda.log.count("retain_primary_context") == 1 and len(trt.engines[-1].contexts) == 3
    assert cuda.log.count("mem_alloc") == cuda.log.count("pagelocked_empty") == 4  # once each, for image, age, aged and mask


def test_without_cuda_bindings_it_queues_anew(monkeypatch: pytest.MonkeyPatch, tinting: Path, tmp_path: Path) -> None:
    with fake_gpu(monkeypatch, tmp_path, graphs=False) as (cuda, _):
        backend = TensorRT(tinting)
        rng = np.random.default_rng(0)
        for count in (1, 2, 2, 2):
            check(backend, count, rng)
        assert backend.replay.recorded == 0 and "cuda-bindings" in backend.replay.note
        before = len(cuda.log)
        check(backend, 2, rng)
        assert cuda.log[before:] == ["htod", "htod", "dtoh", "dtoh"] * 2


def test_a_refused_recording_leaves_a_backend_that_works(gpu: Fakes, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = TensorRT(engine)
    monkeypatch.setattr(backend.replay._driver, "cuGraphInstantiate", lambda graph, flags: (900, None))
    rng = np.random.default_rng(0)
    for _ in range(3):
        check(backend, 2, rng)
    assert backend.replay.recorded == 0 and "not recorded" in backend.replay.note


def test_float16_pictures_in_device_memory(gpu: Fakes, tinting: Path) -> None:
    gpu[1].half = True
    backend = TensorRT(tinting)
    assert backend.half
    check(backend, 2, np.random.default_rng(0), tolerance=2e-3)


def test_a_profile_that_begins_above_one_face(gpu: Fakes, tinting: Path, tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(tinting.read_bytes())
    build_engine(model, tmp_path / "net.engine", batch=(2, 2, 3))
    backend = TensorRT(model)
    for count in (1, 2, 4):
        check(backend, count, np.random.default_rng(count))


def test_it_runs_from_another_thread_than_opened_it(gpu: Fakes, engine: Path) -> None:
    backend, failed = TensorRT(engine), []

    def work() -> None:
        try:
            check(backend, 2, np.random.default_rng(0))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed


def test_a_model_without_an_engine_is_built_once_into_the_cache(gpu: Fakes, tinting: Path, tmp_path: Path) -> None:
    lines, says = printed()
    first = TensorRT(tinting, says)
    assert gpu[1].builds == 1 and first.engine_path.parent == tmp_path / "cache" / "engines"
    assert lines[0].startswith("building ") and "Fake GPU 8000 (8.9)" in lines[0] and "tensorrt 11.4.0.106" in lines[0]
    lines.clear()
    TensorRT(tinting, says)
    assert gpu[1].builds == 1 and not lines
    facts = json.loads(Path(f"{first.engine_path}.json").read_text())
    assert facts["driver"] == "580.1" and facts["gpu"] == "Fake GPU 8000" and facts["level"] == 3
    first.engine_path.write_bytes(b"damaged")  # the cache's own: built again
    TensorRT(tinting, says)
    assert gpu[1].builds == 2


def test_auto_takes_an_engine_that_is_there_and_builds_none(gpu: Fakes, tinting: Path) -> None:
    assert choose_backend(tinting, "auto", 1)[0].device == "cpu" and gpu[1].builds == 0
    TensorRT(tinting)
    backend, says = choose_backend(tinting, "auto", 1)
    assert isinstance(backend, TensorRT) and says == "device: tensorrt"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("version", "10.9", "is for tensorrt 10.9"),
        ("gpu", "NVIDIA T4", "is for NVIDIA T4"),
        ("compute_capability", "7.5", "one for Fake GPU 8000 \\(8.9\\)"),
        ("onnx_sha256", "0" * 64, "built from another net.onnx"),
        ("plan_sha256", "0" * 64, "is damaged"),
        ("plan_sha256", None, "is damaged"),
        ("flavor", "sorbet", "missing or damaged"),
        ("card", {}, "damaged card"),
    ],
)
def test_engines_that_do_not_fit_never_reach_tensorrt(gpu: Fakes, engine: Path, field: str, value: object, message: str) -> None:
    sidecar = Path(f"{engine}.json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {field: value}))
    with pytest.raises(ReagingError, match=message) as caught:
        open_backend(engine, "tensorrt")
    assert not gpu[1].engines and "\n" not in str(caught.value)
    if field != "card":
        batch = "" if field == "flavor" else " --batch 1,1,4"  # as it was, where that is known
        assert f"reaging-export '{engine.with_suffix('.onnx')}' --engine '{engine}'{batch}" in caught.value.remedy


def test_a_damaged_plan_and_a_plan_that_tensorrt_refuses(gpu: Fakes, engine: Path) -> None:
    plan, sidecar = engine.read_bytes(), Path(f"{engine}.json")
    engine.write_bytes(plan[:-1])
    with pytest.raises(ReagingError, match="is damaged"):
        TensorRT(engine)
    from reaging.runtime.backends.engines import digest

    engine.write_bytes(b"of another TensorRT")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"plan_sha256": digest(engine.read_bytes())}))
    with pytest.raises(ReagingError, match="cannot be loaded"):
        TensorRT(engine)


def test_a_run_that_tensorrt_refuses_is_an_error(gpu: Fakes, engine: Path) -> None:
    backend = TensorRT(engine)
    gpu[1].engines[-1].refuses = True
    with pytest.raises(RuntimeError, match="refused to run"):
        backend.run(np.zeros((2, 3, 64, 64), np.float32), np.float32([1, 2]))
