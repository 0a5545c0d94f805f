"""The thread that works on the newest thing."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from reaging.runtime.background import NICE, Background


def test_what_it_has_no_time_for_is_dropped_and_the_newest_is_not() -> None:
    seen: list[int] = []
    started, go, done = threading.Event(), threading.Event(), threading.Event()

    def work(item: int) -> None:
        started.set()
        assert go.wait(5)
        seen.append(item)
        if item == 9:
            done.set()

    with Background(work) as background:
        background.submit(0)
        assert started.wait(5)
        for item in range(1, 10):
            background.submit(item)
        go.set()
        assert done.wait(5)
    assert seen == [0, 9]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have a rank of their own on Linux only")
def test_it_gives_way_to_the_other_threads() -> None:
    ranks: list[int] = []
    done = threading.Event()

    def work(item: int) -> None:
        ranks.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        done.set()

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with Background(work) as background:
        background.submit(0)
        assert done.wait(5)
    assert ranks == [min(19, before + NICE)] and os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_its_error_comes_out_where_things_are_submitted_and_its_thread_ends() -> None:
    before = set(threading.enumerate())
    failed = threading.Event()

    def work(item: int) -> None:
        failed.set()
        raise OSError("out of memory")

    with Background(work) as background:
        background.submit(1)
        assert failed.wait(5)
        with pytest.raises(OSError, match="out of memory"):
            for _ in range(1000):
                background.submit(2)
                threading.Event().wait(0.005)
    assert set(threading.enumerate()) <= before
