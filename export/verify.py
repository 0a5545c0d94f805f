"""Does the exported file compute what the network computes?  Two runners, the same inputs, the differences as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from .pictures import Picture, read_pictures, square_crops

Array = NDArray[np.float32]
Runner = Callable[[Array, Array], tuple[Array, Array]]  # image [N,3,S,S] in -1..1, age [N] years -> aged, mask

OUTPUTS = ("aged", "mask")
RANGES = {"aged": 2.0, "mask": 1.0}  # peak to peak, what PSNR is counted against
FP32_TOLERANCE = 1e-3
FP16_PSNR = 40.0
INT8_PSNR = 35.0


@dataclass(frozen=True)
class Difference:
    """How far one output of the candidate is from the reference."""

    output: str
    largest: float  # in the output's own units (aged: -1..1)
    mean: float
    psnr: float  # dB, infinite where they are equal
    at_age: float  # the age, in years, of the largest difference
    shift: float  # mean signed difference, candidate - reference: above 0, the candidate gives more
    largest_shift: float  # the same of the one input where it is farthest from 0
    worst: int  # which input is farthest off, by its squared difference


@dataclass(frozen=True)
class Comparison:
    """What two runners were compared on, and what came out."""

    differences: tuple[Difference, ...]
    inputs: int
    source: str  # what the faces were
    finite: bool  # no NaN or infinity in the candidate's outputs

    @property
    def largest(self) -> float:
        return max(d.largest for d in self.differences)

    @property
    def psnr(self) -> float:
        return min(d.psnr for d in self.differences)

    @property
    def worst(self) -> int:
        """The input to look at: the one farthest off in the output that is."""
        return min(self.differences, key=lambda d: d.psnr).worst

    def lines(self) -> list[str]:
        """A few lines to print."""
        text = [f"compared on {self.inputs} inputs: {self.source}"]
        for d in self.differences:
            text.append(f"  {d.output:4}  largest {d.largest:.2e} (age {d.at_age:g})  mean {d.mean:.2e}  PSNR {d.psnr:.1f} dB")
            if d.output == "mask":  # a mask that opens or closes as a whole is seen sooner than noise of the same PSNR
                text.append(f"  mask  shift {d.shift:+.2e} over all inputs, {d.largest_shift:+.2e} where it shifts most")
        return text


@dataclass(frozen=True)
class TestInputs:
    """Inputs for a comparison: image float32 [N, 3, S, S] in -1..1 with one age each, and what they are in words."""

    image: Array
    age: Array
    source: str

    __test__ = False  # a name that pytest would collect


def random_inputs(size: int, ages: NDArray[np.floating] | None = None, seed: int = 0) -> TestInputs:
    """Uniform noise, one picture per age (default: 0, 50, 100)."""
    years = np.asarray([0.0, 50.0, 100.0] if ages is None else ages, np.float32)
    noise = np.random.default_rng(seed).uniform(-1, 1, (len(years), 3, size, size)).astype(np.float32)
    return TestInputs(noise, years, f"{len(years)} random pictures")


def full_inputs(size: int, faces: str | Path | None = None) -> TestInputs:
    """Random pictures and real faces, every fifth year from 0 to 100.

    The faces come from ``faces`` (file, folder, tar), else from scikit-image's portrait, else there are none and ``source`` says so.
    """
    years = np.arange(0, 101, 5, dtype=np.float32)
    noise = random_inputs(size, years)
    if faces is not None:
        crops, source = square_crops(read_pictures(faces, limit=len(years)), size), f"faces of {Path(faces).name}"
    else:
        portrait = _portrait()
        if portrait is None:
            return TestInputs(noise.image, noise.age, f"{noise.source} only (no faces given, scikit-image is not installed)")
        crops, source = square_crops([portrait], size), "scikit-image's portrait"
    real = as_image(crops)[np.arange(len(years)) % len(crops)]
    return TestInputs(np.concatenate([noise.image, real]), np.concatenate([years, years]), f"{noise.source} and {source}, ages 0 to 100")


def as_image(crops: NDArray[np.uint8]) -> Array:
    """uint8 [N, S, S, 3] RGB -> float32 [N, 3, S, S], -1 to 1."""
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32) / 127.5 - 1


def compare(reference: Runner, candidate: Runner, inputs: TestInputs) -> Comparison:
    """Runs both on the same inputs, in batches of one and of three with different ages (so a fixed batch cannot hide)."""
    errors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in OUTPUTS}
    finite = True
    for part in _batches(len(inputs.age)):
        pairs = zip(OUTPUTS, reference(inputs.image[part], inputs.age[part]), candidate(inputs.image[part], inputs.age[part]), strict=True)
        for name, want, got in pairs:
            if want.shape != got.shape:
                raise ReagingError(f"output {name} is {got.shape}", f"the network's {want.shape}", "export the model again")
            finite = finite and bool(np.isfinite(got).all())
            errors[name].append((np.nan_to_num(got, nan=np.inf).astype(np.float64) - want).reshape(len(want), -1))
    differences = tuple(_difference(name, np.concatenate(errors[name]), inputs.age) for name in OUTPUTS)
    return Comparison(differences, len(inputs.age), inputs.source, finite)


def require(comparison: Comparison, tolerance: float | None = None, psnr: float | None = None, file: str = "the exported file") -> None:
    """Raises ReagingError unless every output is finite, within ``tolerance`` and at least at ``psnr`` dB (those that are given).

    ``file`` is what the candidate is called in the message.
    """
    remedy = "no file was left; run with --verify to see where they differ, and report it with the preset's name"
    if not comparison.finite:
        raise ReagingError(f"{file} gives NaN or infinite values", "finite outputs", remedy)
    if tolerance is not None and not comparison.largest <= tolerance:
        raise ReagingError(f"{file} differs from the network by {comparison.largest:.2e}", f"at most {tolerance:g}", remedy)
    if psnr is not None and not comparison.psnr >= psnr:
        raise ReagingError(f"{file} is at {comparison.psnr:.1f} dB of the fp32 network", f"at least {psnr:g} dB", remedy)


def onnx_runner(model: str | Path | bytes, threads: int = 0) -> Runner:
    """Runs an ONNX file (or its bytes) on the CPU with ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"])

    def run(image: Array, age: Array) -> tuple[Array, Array]:
        aged, mask = session.run(list(OUTPUTS), {"image": image, "age": age})
        return aged, mask

    return run


def _portrait() -> Picture | None:
    try:
        from skimage import data
    except ImportError:
        return None
    head = data.astronaut()[0:240, 104:344]  # the square around the head in the 512x512 portrait
    return Picture("portrait", np.ascontiguousarray(head))


def _batches(count: int) -> Iterator[slice]:
    if count:
        yield slice(0, 1)
    for start in range(1, count, 3):
        yield slice(start, start + 3)


def decibels(square: float, peak: float) -> float:
    """PSNR of a mean squared difference; -inf where that is not finite."""
    return math.inf if square == 0 else 10 * math.log10(peak**2 / square) if math.isfinite(square) else -math.inf


def _difference(name: str, errors: NDArray[np.float64], ages: Array) -> Difference:
    """From signed differences [N, values of one output]."""
    sizes, squares, shifts = np.abs(errors), np.square(errors).mean(axis=1), errors.mean(axis=1)
    return Difference(
        output=name,
        largest=float(sizes.max()),
        mean=float(sizes.mean()),
        psnr=decibels(float(squares.mean()), RANGES[name]),
        at_age=float(ages[int(sizes.max(axis=1).argmax())]),
        shift=float(shifts.mean()),
        largest_shift=float(shifts[np.abs(shifts).argmax()]),
        worst=int(squares.argmax()),
    )
