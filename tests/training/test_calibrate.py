"""Calibrated ages: the generator is asked for what looks as old as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from checkpoints import tiny_checkpoint  # noqa: E402

from reaging.ages import CLASS_CENTERS  # noqa: E402
from reaging.errors import ReagingError  # noqa: E402
from reaging.nets.blocks import AgeCode  # noqa: E402
from reaging.training.calibrate import calibrated_centers, real_curve  # noqa: E402
from reaging.training.checkpoint import generator_from_checkpoint, load_checkpoint  # noqa: E402


@dataclass(frozen=True)
class Record:
    age: float


class GrayFaces:
    """A face of age a is gray of a; 400 of them, from 5 to 85 years."""

    def __init__(self) -> None:
        self.records = [Record(float(age)) for age in np.linspace(5, 85, 400)]

    def picture(self, index: int) -> np.ndarray:
        return np.full((8, 8, 3), round(self.records[index].age), np.uint8)


class GrayNet:
    """Estimates 10 years too many of any face."""

    def look(self, image: Any) -> Any:
        return ((image + 1) * 127.5).mean((1, 2, 3))[:, None] + 10


class Short(torch.nn.Module):
    """Asked for an age it makes faces ``short`` years younger."""

    def __init__(self, short: float):
        super().__init__()
        self.short = short

    def forward(self, image: Any, age: Any) -> Any:
        return torch.zeros_like(image) + ((age - self.short) / 127.5 - 1)[:, None, None, None], None


def test_a_generator_that_falls_short_is_asked_for_more() -> None:
    centers = calibrated_centers(Short(4), GrayFaces(), GrayNet())  # type: ignore[arg-type]
    for before, after in zip(CLASS_CENTERS, centers, strict=True):
        assert after == pytest.approx(before - 4 if 20 <= before <= 70 else before, abs=0.6)
    code = AgeCode(1)
    code.place(centers)
    asked = (code(torch.tensor([40.0])) * torch.tensor(CLASS_CENTERS)).sum()
    assert float(asked) == pytest.approx(44, abs=0.6)  # what the network hears where 40 was said


def test_the_nets_own_error_does_not_move_the_ages() -> None:
    assert calibrated_centers(Short(0), GrayFaces(), GrayNet()) == pytest.approx(CLASS_CENTERS, abs=0.6)  # type: ignore[arg-type]


def test_a_generator_whose_ages_do_not_rise_is_refused() -> None:
    class Stuck(torch.nn.Module):
        def forward(self, image: Any, age: Any) -> Any:
            return torch.zeros_like(image) + 30 / 127.5 - 1, None

    with pytest.raises(ReagingError, match="do not rise"):
        calibrated_centers(Stuck(), GrayFaces(), GrayNet())  # type: ignore[arg-type]


def test_the_curve_of_real_faces_rises() -> None:
    rng = np.random.default_rng(0)
    labels = rng.uniform(10, 80, 500)
    ages, estimates = real_curve(labels, 20 + labels / 2 + rng.normal(0, 5, 500))
    assert (np.diff(ages) > 0).all() and (np.diff(estimates) >= 0).all()
    assert np.interp(50, ages, estimates) == pytest.approx(45, abs=2)


def test_a_checkpoint_carries_its_ages(tmp_path: Path) -> None:
    moved = [*CLASS_CENTERS[:5], 23.0, 31.0, 42.0, 58.0, 80.0]
    code = generator_from_checkpoint(tiny_checkpoint(tmp_path / "a.pt", ages=moved))[0].age_code
    assert isinstance(code, AgeCode) and code.centers.tolist() == moved
    assert code.weights(torch.tensor([31.0]))[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    code = generator_from_checkpoint(tiny_checkpoint(tmp_path / "b.pt"))[0].age_code
    assert isinstance(code, AgeCode) and code.centers.tolist() == list(CLASS_CENTERS)


@pytest.mark.parametrize("ages", [[1.0, 2.0], list(reversed(CLASS_CENTERS)), [float("nan")] * 10, ["1"] * 10, "ages", 7])
def test_damaged_ages_are_refused(tmp_path: Path, ages: Any) -> None:
    with pytest.raises(ReagingError, match="damaged"):
        load_checkpoint(tiny_checkpoint(tmp_path / "a.pt", ages=ages))
