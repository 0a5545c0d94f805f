"""Ages: the ten classes of FFHQ-Aging, and an age in years as a mix of two of them.  numpy only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ReagingError

# first year of each class; the classes are 0-2, 3-6, 7-9, 10-14, 15-19, 20-29, 30-39, 40-49, 50-69, 70+
CLASS_STARTS = (0, 3, 7, 10, 15, 20, 30, 40, 50, 70)
CLASS_CENTERS = (1.0, 4.5, 8.0, 12.0, 17.0, 25.0, 35.0, 45.0, 60.0, 80.0)
CLASS_NAMES = ("0-2", "3-6", "7-9", "10-14", "15-19", "20-29", "30-39", "40-49", "50-69", "70+")
AGE_MIN, AGE_MAX = 0.0, 100.0


def parse_age(value: Any) -> float:
    """A user's age as years; raises ReagingError unless it is a number from 0 to 100."""
    try:
        age = float(value)
    except (TypeError, ValueError):
        age = math.nan
    if not AGE_MIN <= age <= AGE_MAX:
        raise ReagingError(f"age {value!r} is not usable", "a number of years from 0 to 100", "give for example --age 70")
    return age


def age_class(age: ArrayLike) -> NDArray[np.int64]:
    """Class index 0..9 of each age in years."""
    return np.searchsorted(CLASS_STARTS, np.floor(np.asarray(age, np.float64)), side="right") - 1


def class_weights(age: ArrayLike) -> NDArray[np.float32]:
    """Ages in years [N] -> weights [N, 10] of the classes.

    Linear between the two centers that enclose the age, constant beyond the first and the last; every row sums to 1.
    """
    ages = np.atleast_1d(np.asarray(age, np.float64))
    weights = np.stack([np.interp(ages, CLASS_CENTERS, row) for row in np.eye(len(CLASS_CENTERS))], axis=1)
    return weights.astype(np.float32)
