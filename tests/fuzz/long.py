"""Fuzzes one parser for so many seconds of processor time: ``python tests/fuzz/long.py NAME SECONDS [hypothesis|atheris]``.

Every input goes through a file: with ``TMPDIR`` on a disk most of the time is waiting for it, in memory (``/dev/shm`` on Linux) none.

A finding ends it with a traceback (hypothesis) or a crash file in the working folder (atheris).

atheris, which follows what the code does with its input, is no dependency of the project: ``pip install atheris``.
"""

from __future__ import annotations

import os
import random
import shutil
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

    inputs, end = 0, time.process_time() + seconds
    while time.process_time() < end:

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
    """Ends the process: by itself when the time is over, with a crash file where something was found."""
    import atheris

    with atheris.instrument_imports(include=["reaging", "tarfile", "csv", "json"]):
        from fuzz.targets import PLACE, TARGETS, holds
    corpus = PLACE / f"corpus-{name}"
    corpus.mkdir()
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / str(number)).write_bytes(seed)
    inputs, end = 0, time.process_time() + seconds

    def one(data: bytes) -> None:
        nonlocal inputs
        holds(name, data)
        inputs += 1
        if time.process_time() > end:  # libFuzzer's own limit is one of the clock
            print(f"{name}: {inputs} inputs in {seconds:.0f} s of processor time, by atheris", flush=True)
            shutil.rmtree(PLACE)
            os._exit(0)

    atheris.Setup([sys.argv[0], "-timeout=1200", "-verbosity=0", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    target, length = sys.argv[1], float(sys.argv[2])
    if sys.argv[3:] == ["atheris"]:
        by_atheris(target, length)
    else:
        print(f"{target}: {by_hypothesis(target, length)} inputs in {length:.0f} s of processor time, by hypothesis", flush=True)
