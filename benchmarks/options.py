"""What the commands that take times have in common: their options' values, where reports go, and progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from ..errors import ReagingError

PATH = click.Path(path_type=Path)
MOST = 2048  # threads, faces at once, pixels of a generator
WIDEST = 16_384  # pixels of a frame


def need(extra: str, *modules: str) -> None:
    """Raises ReagingError where a package is missing, before any work is done; ``extra`` is what brings it."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ReagingError(f"{', '.join(missing)} is not installed", "the packages of this command", f"pip install 'reaging[{extra}]'")


def names(text: str) -> list[str]:
    """``ort, openvino`` -> both, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def parse_numbers(option: str, text: str) -> list[int]:
    """``1,2`` -> [1, 2]; raises ReagingError for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ReagingError(
            f"{option} {text!r} is not usable", "whole numbers with commas between", f"give for example {option} 1,2"
        ) from None


@contextmanager
def progress(steps: int, label: str) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's standard error, and what to call after each step; a file or pipe gets the results and errors only."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with click.progressbar(length=steps, label=label, file=sys.stderr) as bar:
        yield lambda: bar.update(1)


def positive(option: str, text: str) -> list[int]:
    """Like parse_numbers, from 1 to ``MOST``."""
    numbers = parse_numbers(option, text)
    if not 1 <= min(numbers) <= max(numbers) <= MOST:
        raise ReagingError(f"{option} {text!r} is not usable", f"whole numbers from 1 to {MOST}", f"correct {option}")
    return numbers


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """``640x480,1280x720`` -> [(640, 480), (1280, 720)]; raises ReagingError for anything else, and for frames below 64 pixels."""
    try:
        sizes = [(int(width), int(height)) for width, _, height in (part.strip().partition("x") for part in text.split(","))]
    except ValueError:
        sizes = []
    if not sizes or min(min(size) for size in sizes) < 64 or max(max(size) for size in sizes) > WIDEST:
        expected = f"WIDTHxHEIGHT with commas between, from 64 to {WIDEST}"
        raise ReagingError(f"--size {text!r} is not usable", expected, "give for example --size 640x480")
    return sizes


def outputs(charts: bool) -> Callable[[Any], Any]:
    """The options for where a report goes; ``charts`` for those that have pictures."""
    options = [
        click.option("--json", "json_path", type=PATH, help="Write the report here, with the machine it was measured on."),
        click.option("--markdown", "markdown_path", type=PATH, help="Write the tables here."),
    ]
    if charts:
        options.append(click.option("--charts", type=PATH, help="Write PNG charts into this folder."))

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add
