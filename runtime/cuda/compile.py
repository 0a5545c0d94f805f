"""The frame kernels as code for a GPU: by NVRTC where its library is there, else by nvcc; neither needs a GPU."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...errors import ReagingError
from ...files import whole_file
from ..backends.engine_cache import cache_folder
from .driver import Gpu

FOLDER = Path(__file__).parent
SOURCE, HEADER = "kernels.cu", "geometry.h"
OPTIONS = ("--std=c++17", "--fmad=true")
NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll")


def architecture(gpu: Gpu) -> str:
    """sm_89 for compute capability 8.9."""
    return "sm_" + gpu.capability.replace(".", "")


def compile_kernels(arch: str) -> bytes:
    """Machine code (cubin) for sm_89, or PTX for compute_75, which a driver translates for any later GPU.

    Raises ReagingError where neither NVRTC nor nvcc is there, or the architecture is none of theirs.
    """
    library = _nvrtc()
    if library is not None:
        return _by_nvrtc(library, arch)
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise ReagingError(
            "nothing here compiles CUDA: there is neither NVRTC nor nvcc", "NVRTC's library", "pip install nvidia-cuda-nvrtc"
        )
    return _by_nvcc(nvcc, arch)


@cache
def _nvrtc() -> Any:
    """NVRTC's library: that of NVIDIA's wheel, else the system's; None without either."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    inside = [str(path) for folder in folders for name in NAMES for path in sorted(folder.glob(f"*/*/{name}"))]
    for name in [*inside, *NAMES]:
        with suppress(OSError):
            return ctypes.CDLL(name)
    return None


def _by_nvrtc(library: Any, arch: str) -> bytes:
    program = ctypes.c_void_p()
    source, header = (FOLDER / SOURCE).read_bytes(), (FOLDER / HEADER).read_bytes()
    headers, names = (ctypes.c_char_p * 1)(header), (ctypes.c_char_p * 1)(HEADER.encode())
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    code = library.nvrtcCreateProgram(ctypes.byref(program), source, SOURCE.encode(), 1, headers, names)
    if code:
        raise _refused(arch, library.nvrtcGetErrorString(code).decode())
    try:
        options = [f"--gpu-architecture={arch}".encode(), *(option.encode() for option in OPTIONS)]
        code = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if code:
            log = _text(library, program, "ProgramLog").decode(errors="replace").strip("\0 \n")
            raise _refused(arch, log or library.nvrtcGetErrorString(code).decode())
        return _text(library, program, "CUBIN" if arch.startswith("sm_") else "PTX")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _text(library: Any, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    code = getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    code = code or getattr(library, f"nvrtcGet{what}")(program, buffer)
    if code:
        raise ReagingError(f"NVRTC gives no {what} (error {code})", "compiled kernels", "install another nvidia-cuda-nvrtc")
    return buffer.raw


def _by_nvcc(nvcc: str, arch: str) -> bytes:
    kind = "--cubin" if arch.startswith("sm_") else "--ptx"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernels"
        command = [nvcc, kind, f"--gpu-architecture={arch}", *OPTIONS, f"-I{FOLDER}", str(FOLDER / SOURCE), "-o", str(out)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise _refused(arch, (run.stderr or run.stdout).strip())
        return out.read_bytes()


def _refused(arch: str, reason: str) -> ReagingError:
    return ReagingError(f"the frame kernels cannot be compiled for {arch} ({reason[:300]})", "sm_75 or later", "use another GPU")


def source_digest() -> str:
    """Of the kernels' sources: compiled code of other sources is not used."""
    return sha256(b"\0".join((FOLDER / name).read_bytes() for name in (SOURCE, HEADER))).hexdigest()[:16]


def kernels_beside(engine: str | Path) -> Path:
    """Where an engine's compiled kernels lie."""
    return Path(engine).with_suffix(".kernels")


def write_kernels(path: Path, arch: str) -> None:
    """Compiles for ``arch`` into a file that says, in its first line, what of and for what it is.  Raises ReagingError."""
    code = compile_kernels(arch)
    with whole_file(path) as part:
        part.write_bytes(_first_line(arch, code) + code)


def _first_line(arch: str, code: bytes) -> bytes:
    facts = {"source": source_digest(), "architecture": arch, "sha256": sha256(code).hexdigest()}
    return json.dumps(facts, sort_keys=True).encode() + b"\n"


def read_kernels(path: Path) -> tuple[str, bytes] | None:
    """Architecture and code in a file of ``write_kernels``; None where it is missing, damaged or of other sources."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        first, _, code = path.read_bytes().partition(b"\n")
        arch = str(json.loads(first)["architecture"])
        if first + b"\n" == _first_line(arch, code):
            return arch, code
    return None


def kernels_for(gpu: Gpu, engine: Path | None = None) -> bytes:
    """The kernels' code for this GPU: from beside the engine, else from the user's cache, where they are compiled if they are not there.

    PTX beside a portable engine is the last choice: a driver older than the compiler refuses it.  Raises ReagingError as
    ``compile_kernels`` does.
    """
    arch = architecture(gpu)
    beside = read_kernels(kernels_beside(engine)) if engine is not None else None
    if beside is not None and beside[0] == arch:
        return beside[1]
    kept = cache_folder("kernels") / f"{source_digest()}-{arch}.kernels"
    try:
        if read_kernels(kept) is None:
            write_kernels(kept, arch)
    except ReagingError:
        if beside is not None and _translates(beside[0], arch):
            return beside[1]
        raise
    code = read_kernels(kept)
    assert code is not None
    return code[1]


def _translates(ptx: str, arch: str) -> bool:
    """Whether PTX for compute_75 is for sm_75 or a later GPU."""
    return ptx.startswith("compute_") and int(ptx.removeprefix("compute_")) <= int(arch.removeprefix("sm_"))
