"""The CUDA frame kernels, compiled for the CPU and held against template.py and paste.py on a real face, and compiled for GPUs."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import CUBIN, LAUNCHES, compiled
from warps import LEVEL

from reaging.errors import ReagingError
from reaging.runtime.ager import Change
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.compile import kernels_for, read_kernels, write_kernels
from reaging.runtime.cuda.driver import Gpu
from reaging.runtime.cuda.rows import CUT_FIELDS, PASTE_FIELDS, GpuFace, Kept, cut_row, paste_row
from reaging.runtime.faces.template import cut
from reaging.runtime.paste import paste, paste_patches, patch
from reaging.runtime.steady import FINE, moment, worn

SIZE = 64
KINDS = {0: np.float32, 1: np.float16}
KERNELS = CUBIN.split()[1:]


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


def to_cut(matrices: list[np.ndarray], frame: np.ndarray, size: int = SIZE, weights: list[np.ndarray | None] | None = None) -> np.ndarray:
    slots = kept_slots(len(matrices))
    faces = zip(matrices, slots, weights or [None] * len(matrices), strict=True)
    rows = [cut_row(GpuFace(m, kept, 30.0 + kept.slot, weight=weight), frame, size) for m, kept, weight in faces]
    assert all(len(row) == CUT_FIELDS for row in rows)
    return np.stack(rows)


def to_paste(matrices: list[np.ndarray], frame: np.ndarray, shares: list[np.ndarray | None] | None = None) -> np.ndarray:
    slots = kept_slots(len(matrices))
    faces = zip(matrices, slots, shares or [None] * len(matrices), strict=True)
    rows = [paste_row(GpuFace(m, kept, share=share), frame, SIZE) for m, kept, share in faces]
    assert all(row is not None and len(row) == PASTE_FIELDS for row in rows)
    return np.stack(rows)  # type: ignore[arg-type]


def kept_slots(count: int) -> list[Kept]:
    """0, 1, 2 and so on."""
    free = list(range(count))[::-1]
    return [Kept(free) for _ in range(count)]


def kept_memory(count: int, size: int = SIZE) -> np.ndarray:
    """As geometry.h has it, with nothing in it yet."""
    return np.full((count, size * size * 4 + 2 * 3 * FINE * FINE), np.nan, np.float32)


def keep(host: ctypes.CDLL, change: list[np.ndarray], faces: np.ndarray, kept: np.ndarray, size: int = SIZE, half: int = 0) -> None:
    """What follows the network: image, aged and mask [N, C, S, S] averaged with what is kept, and kept."""
    arguments = [*map(pointer, change), half, pointer(faces), size, pointer(kept)]
    launch(host.launch_changes_to_average, FINE, FINE, len(faces), *arguments)
    launch(host.launch_changes_to_worn, size, size, len(faces), *arguments)


def show(host: ctypes.CDLL, frame: np.ndarray, faces: np.ndarray, kept: np.ndarray) -> np.ndarray:
    shown = frame.copy()
    height, width = frame.shape[:2]
    launch(host.launch_worn_to_frame, width, height, 1, pointer(shown), height, width, pointer(faces), len(faces), pointer(kept), SIZE)
    return shown


def inputs(host: ctypes.CDLL, frame: np.ndarray, matrices: list[np.ndarray], half: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The network's inputs in gray levels, and the ages."""
    faces, image = to_cut(matrices, frame), np.empty((len(matrices), 3, SIZE, SIZE), KINDS[half])
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
    assert np.abs(levels - crops).max() <= LEVEL + 0.001 + 0.07 * half
    assert age.tolist() == [30, 31]


def test_a_large_face_is_averaged_not_sampled(host: ctypes.CDLL, photo: np.ndarray) -> None:
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 40, photo.shape), 0, 255).astype(np.uint8)
    forward = matrix(0.25, 0.1, 250, 250)
    apart = np.abs(inputs(host, noisy, [forward])[0][0] - cut(noisy, forward, SIZE).transpose(2, 0, 1))
    assert apart.mean() < 0.3 * LEVEL and apart.max() <= 3.001  # OpenCV places samples to 1/32 of a pixel, and rounds twice


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
    kept = kept_memory(2)
    keep(host, [image, aged, mask], to_cut(matrices, photo), kept, half=half)
    frame = show(host, photo, to_paste(matrices, photo), kept)
    delta, masks = (aged.astype(np.float32) - image).transpose(0, 2, 3, 1), mask[:, 0].astype(np.float32)
    expected = paste(photo, Change(np.ascontiguousarray(delta), masks), np.stack(matrices))
    assert np.abs(expected.astype(int) - photo).max() > 20
    assert np.abs(frame.astype(int) - expected).max() <= LEVEL
    untouched = (expected == photo).all(-1)
    assert np.abs(frame.astype(int) - photo)[untouched].max() <= 1
    assert np.array_equal(frame[300:], photo[300:])


def moving(size: int, count: int) -> list[tuple[np.ndarray, list[np.ndarray], float]]:
    """Crops in which something moves, what the network makes of each, and the ages."""
    random = np.random.default_rng(size)
    at = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2))
    steps = []
    for i in range(count):
        crop = np.full((FINE, FINE, 3), 120, np.uint8)
        crop[20:30, 10 + 6 * i : 30 + 6 * i] = 140  # 20 gray levels: more than noise, and not so much that all is new there
        image, aged = (cv2.GaussianBlur(random.uniform(-1, 1, (size, size, 3)).astype(np.float32), (0, 0), 1 + size / 64) for _ in "ab")
        mask = np.clip(1.1 + 0.1 * (i % 2) - at, 0, 1).astype(np.float32)
        steps.append(
            (crop, [np.ascontiguousarray(v.transpose(2, 0, 1)[None]) for v in (image, aged * 2)] + [mask[None, None]], 60 + 0.5 * i)
        )
    return steps


@pytest.mark.parametrize(("size", "half"), [(256, 0), (256, 1), (96, 0), (64, 0), (48, 0)])  # 48 and 96: a coarse place is no whole pixels
def test_changes_are_calmed_as_on_the_cpu(host: ctypes.CDLL, size: int, half: int) -> None:
    frame, forward = np.zeros((size, size, 3), np.uint8), np.float32([[1, 0, 0], [0, 1, 0]])
    kept, before = kept_memory(1, size), None
    for i, (crop, change, age) in enumerate(moving(size, 4)):
        image, aged, mask = (v.astype(KINDS[half]) for v in change)
        delta = (aged.astype(np.float32) - image)[0].transpose(1, 2, 0)
        newest = patch(delta, mask[0, 0].astype(np.float32))
        weight = moment(crop, age, i / 30, before and before.moment)[1]
        before = worn(newest, crop, age, i / 30, before)
        keep(host, [image, aged, mask], to_cut([forward], frame, size, [weight]), kept, size, half)
        got = kept[0, : size * size * 4].reshape(size, size, 4)
        assert np.abs(got - before.patch.values).max() < 0.01  # gray levels, of changes of this many:
        assert np.abs(before.patch.values).max() > 20
        if i:
            assert weight is not None and 0.1 < weight.min() < 0.5 < weight.max()
            assert np.abs(newest.values - before.patch.values).max() > 2  # calming does something


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.6])
def test_a_kept_change_is_shown_by_its_share_as_on_the_cpu(host: ctypes.CDLL, photo: np.ndarray, scale: float) -> None:
    matrices = [matrix(scale, 0.4, 222.4, 110.7), matrix(scale, -0.1, 250.2, 140.1)]
    image, aged, mask = (np.stack(v) for v in zip(smooth_change(1), smooth_change(2), strict=True))
    kept = kept_memory(2)
    keep(host, [image, aged, mask], to_cut(matrices, photo), kept)
    patches = [patch(np.ascontiguousarray((a - i).transpose(1, 2, 0)), m[0]) for i, a, m in zip(image, aged, mask, strict=True)]
    ramp = np.clip(np.linspace(-0.5, 1.5, FINE, dtype=np.float32), 0, 1)
    share = np.ascontiguousarray(np.broadcast_to(ramp, (FINE, FINE)))
    got = show(host, photo, to_paste(matrices, photo, [share, None]), kept)
    expected = paste_patches(photo, [patches[0].faded(share), patches[1]], matrices, [1.0, 1.0])
    whole = paste_patches(photo, patches, matrices, [1.0, 1.0])
    assert np.abs(got.astype(int) - expected).max() <= LEVEL
    assert np.abs(whole.astype(int) - expected).max() > 10


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
