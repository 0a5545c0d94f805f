"""Fuzzes one parser for a while: ``python tests/fuzz/long.py NAME SECONDS [hypothesis|atheris]``; findings go to the working folder.

atheris, which follows what the code does with its input, is no dependency of the project: ``pip install atheris``.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def by_hypothesis(name: str, seconds: float) -> int:
    """Rounds of 500 inputs, each with another seed; returns the number of inputs."""
    from fuzz.mutations import altered
    from fuzz.targets import TARGETS, holds, in_time
    from hypothesis import HealthCheck, given, seed, settings
    from hypothesis import strategies as st

    inputs, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:

        @seed(random.getrandbits(64))
        @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(altered(TARGETS[name].seeds) | st.binary(max_size=256))
        def one(data: bytes) -> None:
            nonlocal inputs
            inputs += 1
            with in_time():
                holds(name, data)

        one()
    return inputs


def by_atheris(name: str, seconds: float) -> None:
    """Ends the process: with a crash file where something was found."""
    import atheris

    with atheris.instrument_imports(include=["reaging", "tarfile", "csv", "json"]):
        from fuzz.targets import PLACE, TARGETS, holds
    corpus = PLACE / f"corpus-{name}"
    corpus.mkdir()
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / str(number)).write_bytes(seed)
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={int(seconds)}", "-timeout=1200", "-print_final_stats=1", str(corpus)], lambda d: holds(name, d)
    )
    atheris.Fuzz()


if __name__ == "__main__":
    target, length = sys.argv[1], float(sys.argv[2])
    if sys.argv[3:] == ["atheris"]:
        by_atheris(target, length)
    else:
        print(f"{target}: {by_hypothesis(target, length)} inputs in {length:.0f} s", flush=True)
