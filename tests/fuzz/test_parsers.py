"""A short round of fuzzing for every parser, and what longer ones have found.

Longer: ``python tests/fuzz/long.py NAME SECONDS``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

hypothesis = pytest.importorskip("hypothesis")
pytest.importorskip("torch")

from fuzz.mutations import altered  # noqa: E402
from fuzz.targets import TARGETS, holds, in_time  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 60))
CASES = Path(__file__).parent / "cases"
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much]


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_parser_takes(name: str) -> None:
    """So that fuzzing begins behind its first check: the seed is taken, or refused for what it is."""
    for seed in TARGETS[name].seeds:
        with in_time():
            holds(name, seed)


@pytest.mark.parametrize("name", TARGETS)
def test_a_value_or_one_error(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
    @given(altered(TARGETS[name].seeds) | st.binary(max_size=64))
    def one(data: bytes) -> None:
        with in_time():
            holds(name, data)

    one()


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda path: path.name)
def test_what_was_found_stays_mended(case: Path) -> None:
    """Named by parser and what was wrong, such as ``card.infinite-size``."""
    with in_time():
        holds(case.name.partition(".")[0], case.read_bytes())
