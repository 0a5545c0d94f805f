"""Opening models: every backend is held to the same test, and bad files and devices are refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from backend_check import CARD, check_backend

from reaging.card import CARD_KEY
from reaging.errors import ReagingError
from reaging.runtime.ager import Ager
from reaging.runtime.backends import DEVICES, choose_backend, open_backend
from reaging.runtime.backends.modelfile import read_model
from reaging.runtime.cuda.driver import driver_error


@pytest.mark.parametrize("device", ["cpu", "openvino", "cuda", "tensorrt"])
def test_every_backend_computes_the_same(tinting: Path, device: str) -> None:
    if device == "openvino":
        pytest.importorskip("openvino")
    try:
        backend = open_backend(tinting, device, threads=1)
    except ReagingError as error:
        if device in ("cuda", "tensorrt"):
            pytest.skip(str(error))
        raise
    check_backend(backend)


def test_ager_gives_the_change_of_each_face(tinting: Path) -> None:
    ager = Ager(open_backend(tinting, "cpu", 1))
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    change = ager(crops, [20, 90])
    assert change.delta.shape == (2, 64, 64, 3) and change.mask.shape == (2, 64, 64)
    assert change.delta[0, 32, 32] == pytest.approx([-0.24, -0.03, 0.24], abs=1e-5)
    assert change.delta[1, 32, 32] == pytest.approx([0.32, 0.04, -0.32], abs=1e-5)
    alone = ager(crops[1:], 90)
    assert np.allclose(alone.delta[0], change.delta[1], atol=1e-6)
    assert len(ager(crops[:0], 50).mask) == 0
    with pytest.raises(ValueError, match="expected uint8"):
        ager(crops[:, :32], 50)


def test_auto_says_what_it_took_and_why(tinting: Path) -> None:
    backend, says = choose_backend(tinting, threads=1)
    reason = driver_error()
    if reason:
        assert backend.device == "cpu" and says == f"device: cpu; no GPU: {reason}"
    else:
        assert says.startswith("device: ")


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_is_not_there_is_an_error(tinting: Path, device: str) -> None:
    if driver_error() is None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(ReagingError):
        open_backend(tinting, device)


def test_a_session_that_fell_back_is_refused(tinting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    # what onnxruntime-gpu does without a driver: it lists CUDA and then runs on the CPU
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(ReagingError, match=r"could not start CUDA|cannot be loaded on cuda"):
        open_backend(tinting, "cuda")


def foreign(path: Path, tinting: Path, make_generator: Callable[..., Path], what: str) -> Path:
    """Writes a bad file of the given sort."""
    import onnx
    from onnx import helper

    model = onnx.load(tinting)
    if what == "garbage":
        path.write_bytes(b"\x13\x37 no protobuf at all" * 40)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "truncated":
        path.write_bytes(tinting.read_bytes()[:-3000])
    elif what == "text":
        path.write_text("hello\n")
    elif what == "no card":
        del model.metadata_props[:]
        onnx.save(model, path)
    elif what == "damaged card":
        helper.set_model_props(model, {CARD_KEY: "{"})
        onnx.save(model, path)
    elif what == "later card":
        helper.set_model_props(model, {CARD_KEY: replace(CARD, format=99).to_json()})
        onnx.save(model, path)
    elif what == "aligner":
        helper.set_model_props(model, {CARD_KEY: replace(CARD, kind="aligner").to_json()})
        onnx.save(model, path)
    elif what == "other names":
        model.graph.output[1].name = "masque"
        model.graph.node[-1].output[0] = "masque"
        onnx.save(model, path)
    elif what == "wrong size":
        helper.set_model_props(model, {CARD_KEY: replace(CARD, size=(128, 128)).to_json()})
        onnx.save(model, path)
    elif what == "external":
        make_generator(path, external=True)
    elif what == "unknown operator":
        model.graph.node[0].op_type = "Abracadabra"
        onnx.save(model, path)
    return path


BAD = {
    "garbage": "no ONNX model",
    "empty": "no ONNX model",
    "truncated": "no ONNX model",
    "text": "no ONNX model",
    "no card": "has no card",
    "damaged card": "damaged card",
    "later card": "card format 99",
    "aligner": "is a aligner",
    "other names": "has inputs",
    "wrong size": "does not run|cannot be|gives aged",
    "external": "weights in another file",
    "unknown operator": "cannot be",
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_bad_models_are_refused(tmp_path: Path, tinting: Path, make_generator: Callable[..., Path], what: str, device: str) -> None:
    if device == "openvino":
        pytest.importorskip("openvino")
    with pytest.raises(ReagingError, match=BAD[what]) as caught:
        open_backend(foreign(tmp_path / "bad.onnx", tinting, make_generator, what), device, 1)
    assert "\n" not in str(caught.value)


def test_missing_model_and_unknown_device(tmp_path: Path, tinting: Path) -> None:
    with pytest.raises(ReagingError, match="there is no model"):
        open_backend(tmp_path / "none.onnx")
    with pytest.raises(ReagingError, match="there is no device"):
        open_backend(tinting, "abacus")
    assert DEVICES[0] == "auto"


def test_random_damage_never_ends_in_another_error(tmp_path: Path, tinting: Path) -> None:
    whole = bytearray(tinting.read_bytes())
    random = np.random.default_rng(1)
    for _ in range(200):
        damaged = whole.copy()
        for at in random.integers(0, len(whole), 20):
            damaged[at] = random.integers(256)
        path = tmp_path / "damaged.onnx"
        path.write_bytes(damaged)
        with suppress(ReagingError):
            read_model(path)


def engine(tmp_path: Path, **changes: object) -> Path:
    """An engine file with its sidecar; the plan itself is no real one."""
    path = tmp_path / "net.engine"
    path.write_bytes(b"plan")
    facts = {
        "card": asdict(CARD),
        "flavor": "tensorrt",
        "version": "11.4.0.106",
        "gpu": "NVIDIA H100",
        "compute_capability": "9.0",
        "driver": "580.82.07",
        "onnx_sha256": "0" * 64,
        "plan_sha256": "0" * 64,
        "batch": [1, 1, 8],
        "precision": "fp16",
        "workspace_mb": 1024,
        "level": 3,
    }
    Path(f"{path}.json").write_text(json.dumps(facts | changes))
    return path


def test_engines_are_checked_before_any_gpu_call(tmp_path: Path, tinting: Path) -> None:
    if driver_error() is not None:  # with one, an engine would be built
        with pytest.raises(ReagingError, match="NVIDIA driver"):
            open_backend(tinting, "tensorrt")
    with pytest.raises(ReagingError, match="is a TensorRT engine"):
        open_backend(engine(tmp_path), "cpu")
    for changes in ({"batch": [0, 1, 8]}, {"batch": "many"}, {"flavor": "sorbet"}, {"card": None}):
        with pytest.raises(ReagingError, match=r"missing or damaged|damaged card"):
            open_backend(engine(tmp_path, **changes), "tensorrt")
    path = engine(tmp_path)
    path.with_suffix(".onnx").write_bytes(tinting.read_bytes())
    with pytest.raises(ReagingError, match="built from another"):
        open_backend(path.with_suffix(".onnx"), "tensorrt")


def test_an_engine_without_a_driver_is_refused(tmp_path: Path) -> None:
    if driver_error() is None:
        pytest.skip("this machine has a GPU")
    for device in ("tensorrt", "auto"):
        with pytest.raises(ReagingError, match="NVIDIA driver"):
            open_backend(engine(tmp_path), device)


def test_runtime_is_light(tinting: Path) -> None:
    code = (
        "import sys; import reaging.runtime; assert not {'torch', 'cv2', 'numpy'} & set(sys.modules);"
        "from reaging.runtime.filter import open_filter; from reaging.runtime.backends import open_backend;"
        f"open_backend({str(tinting)!r}, 'cpu', 1); assert not {{'torch', 'onnx', 'tensorrt', 'pycuda'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
