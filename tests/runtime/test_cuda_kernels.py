"""The CUDA frame kernels, compiled for the CPU and held against template.py and paste.py on a real face, and compiled for GPUs."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import LAUNCHES, compiled

from reaging.errors import ReagingError
from reaging.runtime.ager import Change
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.compile import kernels_for, read_kernels, write_kernels
from reaging.runtime.cuda.driver import Gpu
from reaging.runtime.cuda.frames import FIELDS, place
from reaging.runtime.faces.template import cut
from reaging.runtime.paste import paste

SIZE = 64
KINDS = {0: np.float32, 1: np.float16}
KERNELS = (b"faces_to_input", b"changes_to_frame")


@pytest.fixture(scope="module")
def host() -> ctypes.CDLL:
    library = ctypes.CDLL(str(compiled(LAUNCHES)))
    library.to_half.argtypes, library.to_half.restype = [ctypes.c_float], ctypes.c_ushort
    library.from_half.argtypes, library.from_half.restype = [ctypes.c_ushort], ctypes.c_float
    return library


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def launch(kernel: object, width: int, height: int, faces: int, *arguments: object) -> None:
    """In blocks of 16 x 16, as frames.py does."""
    grid = ((width + 15) // 16, (height + 15) // 16, faces)
    kernel((ctypes.c_int * 3)(*grid), (ctypes.c_int * 3)(16, 16, 1), *arguments)  # type: ignore[operator]


def matrix(scale: float, turn: float, x: float, y: float) -> np.ndarray:
    """frame -> crop: so many crop pixels for a frame pixel, turned, with the crop's center at x, y of the frame."""
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.hstack([linear, ((SIZE - 1) / 2 - linear @ [x, y])[:, None]]).astype(np.float32)


def placed(matrices: list[np.ndarray], frame: np.ndarray, gain: float = 1.0) -> np.ndarray:
    rows = [place(m, 30.0 + i, gain, frame, SIZE) for i, m in enumerate(matrices)]
    assert all(row is not None and len(row) == FIELDS for row in rows)
    return np.stack(rows)  # type: ignore[arg-type]


def inputs(host: ctypes.CDLL, frame: np.ndarray, matrices: list[np.ndarray], half: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The network's inputs in gray levels, and the ages."""
    faces, image = placed(matrices, frame), np.empty((len(matrices), 3, SIZE, SIZE), KINDS[half])
    age = np.empty(len(matrices), np.float32)
    launch(
        host.launch_faces_to_input, SIZE, SIZE, len(faces), pointer(frame), *frame.shape[:2], pointer(faces), SIZE, pointer(image), half,
        pointer(age),
    )  # fmt: skip
    return (image.astype(np.float32) + 1) * 127.5, age


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> np.ndarray:
    """Slightly soft, since OpenCV places a sample to 1/32 of a pixel: on a sharp edge alone that is more than a gray level."""
    return cv2.GaussianBlur(cv2.imread(str(astronaut)), (0, 0), 2.5)


@pytest.mark.parametrize("half", KINDS)
@pytest.mark.parametrize("scale", [1.7, 1.0, 0.8, 0.6, 0.45, 0.3])  # from 0.67 down the frame is halved first, from 0.35 twice
def test_input_is_the_crop(host: ctypes.CDLL, photo: np.ndarray, scale: float, half: int) -> None:
    matrices = [matrix(scale, 0.3, 222.4, 110.7), matrix(scale, -0.2, 20, 10)]  # the second sticks out of the frame
    levels, age = inputs(host, photo, matrices, half)
    crops = np.stack([cut(photo, m, SIZE) for m in matrices]).transpose(0, 3, 1, 2)
    assert np.abs(levels - crops).max() <= 1.001 + 0.07 * half
    assert age.tolist() == [30, 31]


def test_a_large_face_is_averaged_not_sampled(host: ctypes.CDLL, photo: np.ndarray) -> None:
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 40, photo.shape), 0, 255).astype(np.uint8)
    forward = matrix(0.25, 0.1, 250, 250)
    apart = np.abs(inputs(host, noisy, [forward])[0][0] - cut(noisy, forward, SIZE).transpose(2, 0, 1))
    assert apart.mean() < 0.3 and apart.max() <= 3  # OpenCV places samples to 1/32 of a pixel, and rounds twice


def smooth_change(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """image, aged [3, S, S] and mask [1, S, S] without sharp edges."""
    random = np.random.default_rng(seed)
    image, aged = (
        cv2.GaussianBlur(random.uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32), (0, 0), 4).transpose(2, 0, 1).copy() for _ in "ab"
    )
    at = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, SIZE, dtype=np.float32)] * 2))
    return image, aged * 3, np.clip(1.2 - at, 0, 1).astype(np.float32)[None]


@pytest.mark.parametrize("half", KINDS)
@pytest.mark.parametrize("scale", [0.3, 0.7, 1.6])
def test_changes_land_in_the_frame_as_pasted(host: ctypes.CDLL, photo: np.ndarray, scale: float, half: int) -> None:
    matrices = [matrix(scale, 0.4, 222.4, 110.7), matrix(scale, -0.1, 250.2, 140.1)]
    image, aged, mask = (np.stack(v).astype(KINDS[half]) for v in zip(smooth_change(1), smooth_change(2), strict=True))
    frame, faces = photo.copy(), placed(matrices, photo)
    launch(
        host.launch_changes_to_frame, photo.shape[1], photo.shape[0], 1, pointer(frame), *frame.shape[:2], pointer(faces), 2,
        pointer(image), pointer(aged), pointer(mask), SIZE, half, None,
    )  # fmt: skip
    delta, masks = (aged.astype(np.float32) - image).transpose(0, 2, 3, 1), mask[:, 0].astype(np.float32)
    expected = paste(photo, Change(np.ascontiguousarray(delta), masks), np.stack(matrices))
    assert np.abs(expected.astype(int) - photo).max() > 20
    assert np.abs(frame.astype(int) - expected).max() <= 1
    untouched = (expected == photo).all(-1)
    assert np.abs(frame.astype(int) - photo)[untouched].max() <= 1
    assert np.array_equal(frame[300:], photo[300:])


def test_half_precision_is_numpys(host: ctypes.CDLL) -> None:
    every = np.arange(65536, dtype=np.uint16)
    numbers = np.array([host.from_half(int(h)) for h in every[::7]], np.float32)
    assert np.array_equal(numbers, every[::7].view(np.float16).astype(np.float32), equal_nan=True)
    random = np.random.default_rng(0)
    values = np.concatenate([
        random.normal(size=4000) * 10.0 ** random.integers(-9, 6, 4000),
        every.view(np.float16)[::17].astype(np.float64),
        (every[:31743:13].view(np.float16).astype(np.float64) + every[1:31744:13].view(np.float16)) / 2,  # halfway between neighbors
        [0.0, -0.0, np.inf, -np.inf, 65504, 65519.9, 65520, 2.0**-24, 2.0**-25, 2.0**-26],
    ])  # fmt: skip
    values = values[~np.isnan(values)].astype(np.float32)
    with np.errstate(over="ignore"):
        wanted = values.astype(np.float16).view(np.uint16)
    assert np.array_equal(np.array([host.to_half(float(v)) for v in values], np.uint16), wanted)
    assert np.isnan(np.uint16(host.to_half(float("nan"))).view(np.float16))


def nvrtc_or_skip() -> None:
    if compiling._nvrtc() is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc)")


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120", "compute_75", "compute_90"])
def test_nvrtc_compiles_them_without_a_gpu(arch: str) -> None:
    nvrtc_or_skip()
    code = compiling.compile_kernels(arch)
    assert all(name in code for name in KERNELS)
    if arch.startswith("sm_"):
        assert code[:4] == b"\x7fELF"
    else:
        assert f".target {arch.replace('compute', 'sm')}".encode() in code


def test_without_nvrtc_nvcc_compiles_them(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed")
    monkeypatch.setattr(compiling, "_nvrtc", lambda: None)
    code = compiling.compile_kernels("sm_86")
    assert code[:4] == b"\x7fELF" and all(name in code for name in KERNELS)


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_nvrtc", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ReagingError, match="pip install nvidia-cuda-nvrtc"):
        compiling.compile_kernels("sm_86")


def test_a_gpu_that_the_compiler_does_not_know_is_refused() -> None:
    nvrtc_or_skip()
    with pytest.raises(ReagingError, match="cannot be compiled for sm_70"):
        compiling.compile_kernels("sm_70")


def test_an_error_in_the_source_shows_the_compilers_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc_or_skip()
    (tmp_path / "geometry.h").write_text("")
    (tmp_path / "kernels.cu").write_text("no such thing;")
    monkeypatch.setattr(compiling, "FOLDER", tmp_path)
    with pytest.raises(ReagingError, match=r"kernels.cu\(1\)"):
        compiling.compile_kernels("sm_86")


def test_compiled_code_is_kept_and_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def stand_in(arch: str) -> bytes:
        calls.append(arch)
        return b"\x7fELF code for " + arch.encode()

    monkeypatch.setattr(compiling, "compile_kernels", stand_in)
    monkeypatch.setenv("REAGING_CACHE", str(tmp_path / "cache"))
    gpu, engine = Gpu("a card", "8.9", "580"), tmp_path / "net.engine"
    write_kernels(compiling.kernels_beside(engine), "sm_89")
    assert kernels_for(gpu, engine) == b"\x7fELF code for sm_89" and calls == ["sm_89"]
    assert kernels_for(gpu) == kernels_for(gpu) and calls == ["sm_89"] * 2  # the second from the cache
    assert kernels_for(Gpu("another", "9.0", "580"), engine) == b"\x7fELF code for sm_90"  # not the engine's
    path = compiling.kernels_beside(engine)
    path.write_bytes(path.read_bytes()[:-1])
    assert read_kernels(path) is None and kernels_for(gpu, engine) == b"\x7fELF code for sm_89"
    assert calls == ["sm_89", "sm_89", "sm_90"]
    monkeypatch.setattr(compiling, "source_digest", lambda: "of other sources")
    assert kernels_for(gpu) and len(calls) == 4


def test_ptx_beside_a_portable_engine_serves_where_nothing_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc_or_skip()
    monkeypatch.setenv("REAGING_CACHE", str(tmp_path / "cache"))
    engine = tmp_path / "net.engine"
    write_kernels(compiling.kernels_beside(engine), "compute_86")
    assert kernels_for(Gpu("a card", "8.9", "580"), engine)[:4] == b"\x7fELF"  # compiled for it, where that is possible
    monkeypatch.setattr(compiling, "_nvrtc", lambda: None)
    monkeypatch.setenv("PATH", "")
    assert b".target sm_86" in kernels_for(Gpu("a later card", "12.0", "580"), engine)
    with pytest.raises(ReagingError, match="neither NVRTC nor nvcc"):
        kernels_for(Gpu("an older card", "7.5", "580"), engine)


def test_importing_the_frame_path_brings_in_nothing_of_cuda() -> None:
    code = (
        "import sys, reaging.runtime.cuda.frames, reaging.runtime.backends.ort_cuda, reaging.runtime.backends.tensorrt;"
        "print(*{'torch', 'tensorrt', 'tensorrt_rtx', 'pycuda', 'cuda', 'onnxruntime', 'reaging.export'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
