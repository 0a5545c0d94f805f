"""A process for each measured thing: its memory and processor time are its own, and its end is told."""

from __future__ import annotations

import os

import benchmark_work
import pytest

from reaging.benchmarks.worker import Worker, peak_memory, timed
from reaging.errors import ReagingError


def test_processor_time_is_of_the_process_and_wall_time_of_the_clock() -> None:
    with Worker("burning", benchmark_work.burn, 0.02) as busy, Worker("sleeping", benchmark_work.sleep, 0.05) as idle:
        assert busy.facts["pid"] != os.getpid()
        burned, slept = busy.run(3, 10), idle.run(3, 10)
    assert len(burned.wall) == len(burned.cpu) == 3
    assert all(0.02 <= cpu <= wall * 1.1 for cpu, wall in zip(burned.cpu, burned.wall, strict=True))
    assert all(wall >= 0.05 and cpu < 0.02 for cpu, wall in zip(slept.cpu, slept.wall, strict=True))


def test_a_turn_ends_with_its_time_but_not_before_one_run() -> None:
    assert len(timed(benchmark_work.sleep(0.05)[1], 100, 0.12).wall) == 3
    assert len(timed(benchmark_work.sleep(0.05)[1], 100, 0.0).wall) == 1


def test_peak_memory_is_that_of_the_process_alone() -> None:
    here = os.urandom(1024) * 1024 * 300
    with Worker("small", benchmark_work.hold, 1) as small, Worker("large", benchmark_work.hold, 200) as large:
        low, high = small.run(1, 1).peak, large.run(1, 1).peak
    assert 190e6 < high - low < 230e6
    assert peak_memory() > len(here) > low  # the starting process's memory is not counted with its children


def test_errors_and_deaths_are_told() -> None:
    with pytest.raises(ReagingError, match="the model is odd"):
        Worker("a", benchmark_work.refuse)
    with pytest.raises(RuntimeError, match="KeyError: 'a bug'"):
        Worker("b", benchmark_work.stumble)
    with Worker("dying", benchmark_work.die) as worker, pytest.raises(ReagingError, match="dying ended with code 3"):
        worker.run(1, 1)
