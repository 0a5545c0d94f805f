"""What the processes of these tests do: the commands themselves, or the part of one with a stand-in for what is not here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from portraits import photo


def train(data: Path, out: Path, steps: int) -> None:
    """A run of the preset tiny that saves after every step and logs every one; goes on where there is something to go on with."""
    from reaging.presets import make_preset
    from reaging.training.cli import generator_task
    from reaging.training.loop import train as loop

    preset = make_preset("tiny", ["batch=4", f"steps={steps}"])
    task, _ = generator_task(preset, (data,), "cpu", 0, 1)
    resume = (out / "checkpoint.pt").is_file()
    loop(task, out, steps, resume, save_seconds=0.0, sample_every=4, log_every=1, progress=False)


def data_command(arguments: Sequence[str]) -> None:
    """``reaging-data``."""
    from reaging.data.cli import main

    main(list(arguments))


def export_command(arguments: Sequence[str]) -> None:
    """``reaging-export``."""
    from reaging.export.cli import main

    main(list(arguments))


def cam_command(arguments: Sequence[str], limit: int | None = None) -> None:
    """``reaging-cam``, with a largest size of file in bytes: what comes after it fails as on a full disk."""
    from reaging.runtime.cli import main

    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    main(list(arguments))


class PeopleStandIn:
    """People from the tests' portrait in place of the generator's."""

    size, device = 64, SimpleNamespace(type="cpu")

    def __call__(self, seed: int, k: int):  # type: ignore[no-untyped-def]
        from reaging.data.people import Person

        crop = cv2.resize(photo(2 * (seed + k))[0:224, 32:256], (self.size, self.size), interpolation=cv2.INTER_AREA)[:, :, ::-1]
        ages = [8.0, 25.0, 70.0]
        pictures = [np.ascontiguousarray((crop * light).astype(np.uint8)) for light in (1.0, 0.9, 0.8)]
        return Person(pictures, ages, [[a] for a in ages], [-2.0, 0.0, 2.0])


def synthesize(out: Path, weights: Path, people: int) -> None:
    """``reaging-data synthesize`` behind its generator; goes on where there is something to go on with."""
    from reaging.data.synthesize import synthesize as run

    resume = (out / ".work" / "plan.json").is_file()
    run(out, PeopleStandIn(), weights, [], people, seed=7, resume=resume, force=not resume, progress=False, shard_mb=0.02)


def build(model: Path, out: Path, builds: Path, seconds: float) -> None:
    """``reaging-export --engine`` with a stand-in for TensorRT's builder, which notes every build in the folder ``builds``."""
    from reaging.export import engine

    def plan(trt, data, *options):  # type: ignore[no-untyped-def]
        (builds / f"{os.getpid()}").touch()
        time.sleep(seconds)
        return b"plan of " + data

    engine.import_tensorrt = lambda flavor: ("tensorrt-rtx", SimpleNamespace(__version__="1.0"))
    engine._build = plan
    engine.build_engine(model, out)


def record(path: Path, seconds: float) -> None:
    """Writes frames as a camera gives them, and says the time of each."""
    from reaging.runtime.sinks import open_sink

    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    began = time.monotonic()
    with open_sink(str(path), 20.0) as sink:
        while (now := time.monotonic() - began) < seconds:
            sink.write(np.roll(noise, int(now * 40), 1), now, "")
            print(now, file=sys.stdout, flush=True)
            time.sleep(0.05)
