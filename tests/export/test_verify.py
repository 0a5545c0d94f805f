"""The comparison itself: what it counts, and what it refuses."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from torch import nn

from reaging.errors import ReagingError
from reaging.export.onnx import build_onnx, torch_runner
from reaging.export.verify import TestInputs, compare, onnx_runner, random_inputs, require


def test_a_wrong_file_fails_the_comparison(tiny: nn.Module) -> None:
    model = build_onnx(tiny, 64)
    weight = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    values = onnx.numpy_helper.to_array(weight) * 1.02
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    result = compare(torch_runner(tiny), onnx_runner(model.SerializeToString(), 1), random_inputs(64))
    with pytest.raises(ReagingError, match="differs"):
        require(result, tolerance=1e-3)


def test_values_that_are_not_finite_fail_the_comparison() -> None:
    def right(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return image, image[:, :1]

    def wrong(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(age[:, None, None, None] > 60, np.nan, image).astype(np.float32), image[:, :1]

    result = compare(right, wrong, random_inputs(8))
    assert not result.finite and result.differences[0].at_age == 100
    with pytest.raises(ReagingError, match="NaN"):
        require(result, psnr=0)


def test_the_comparison_knows_where_and_how_much() -> None:
    def right(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return image, image[:, :1]

    def wrong(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return image + (age == 30)[:, None, None, None] * np.float32(0.02), image[:, :1]

    ages = np.float32([10, 20, 30, 40])
    inputs = TestInputs(np.zeros((4, 3, 8, 8), np.float32), ages, "zeros")
    aged, mask = compare(right, wrong, inputs).differences
    assert aged.at_age == 30 and aged.largest == pytest.approx(0.02)
    assert aged.mean == pytest.approx(0.005)
    assert aged.psnr == pytest.approx(10 * np.log10(4 / (0.02**2 / 4)))
    assert mask.psnr == float("inf")


def test_the_shift_of_the_mask_keeps_its_sign_and_is_printed() -> None:
    def right(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return image, np.full_like(image[:, :1], 0.5)

    def wrong(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        less = np.where(age == 30, 0.25, 0.0)[:, None, None, None]
        return image, (right(image, age)[1] - less).astype(np.float32)

    inputs = TestInputs(np.zeros((4, 3, 8, 8), np.float32), np.float32([10, 20, 30, 40]), "zeros")
    result = compare(right, wrong, inputs)
    mask = result.differences[1]
    assert mask.shift == pytest.approx(-0.0625) and mask.largest_shift == pytest.approx(-0.25) and mask.mean == pytest.approx(0.0625)
    assert result.worst == 2
    assert any("shift -6.25e-02" in line and "-2.50e-01" in line for line in result.lines())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", [0, 1])
def test_no_value_beyond_numbers_passes_in_either_output(value: float, output: int) -> None:
    def right(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return image, image[:, :1]

    def wrong(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers = image.copy(), image[:, :1].copy()
        answers[output][age == 100, 0, 3, 4] = value
        return answers

    result = compare(right, wrong, random_inputs(8))
    assert result.worst == 2
    with pytest.raises(ReagingError, match="the FP16 file gives NaN or infinite"):
        require(result, psnr=0, file="the FP16 file")
    with pytest.raises(ReagingError, match="dB"):  # a reference that is not finite is nothing to be close to
        require(compare(wrong, right, random_inputs(8)), psnr=0)
