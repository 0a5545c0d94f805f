import numpy as np
import pytest

from reaging.ages import CLASS_CENTERS, age_class, class_weights, parse_age
from reaging.errors import ReagingError


def test_classes_are_those_of_ffhq_aging():
    assert age_class([0, 2.9, 3, 6, 7, 9, 10, 14, 15, 19.5, 20, 29, 30, 40, 50, 69, 70, 100]).tolist() == [
        0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 8, 9, 9,
    ]  # fmt: skip


def test_weights_mix_the_two_classes_around_an_age():
    ages = np.linspace(0, 100, 401)
    weights = class_weights(ages)
    assert np.allclose(weights.sum(1), 1)
    assert ((weights > 1e-6).sum(1) <= 2).all()
    assert np.allclose(weights @ CLASS_CENTERS, np.clip(ages, 1, 80), atol=1e-4)


@pytest.mark.parametrize("text", ["-5", "200", "nan", "inf", "old", "", None])
def test_ages_that_are_none(text):
    with pytest.raises(ReagingError, match="0 to 100"):
        parse_age(text)


def test_ages_that_are_some():
    assert [parse_age(t) for t in ("0", "100", "33.5", 7)] == [0, 100, 33.5, 7]
