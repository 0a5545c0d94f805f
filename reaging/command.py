"""What the five commands have in common: how they end when a user's input is wrong."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .errors import ReagingError

T = TypeVar("T")
MOST_THREADS = 1024  # of one pool, or processes: with more the engines hang or run out of memory
for _name, _value in {  # read when cv2 is imported, which every command does later
    "OPENCV_IO_MAX_IMAGE_PIXELS": "150000000",  # of one picture: more is a decompression bomb, or no photo
    "OPENCV_LOG_LEVEL": "SILENT",  # its warnings say what our own errors say
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}.items():
    os.environ.setdefault(_name, _value)
# a place that cannot be used, or no longer: the user's to mend wherever it turns up
PLACES = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR,
    errno.EISDIR, errno.EEXIST,
)  # fmt: skip


def ended(name: str, work: Callable[[], T]) -> T:
    """What ``work`` returns; where the user's input is wrong, one line on standard error and exit code 2, and 130 after Ctrl-C."""
    try:
        return work()
    except ReagingError as error:
        click.echo(f"{name}: {error}", err=True)
        raise click.exceptions.Exit(2) from None
    except OSError as error:
        if error.errno not in PLACES:
            raise
        place = f" {error.filename}" if error.filename else ""
        refused = ReagingError(f"cannot use{place} ({error.strerror})", "a place that can be read and written, with room", "choose another")
        click.echo(f"{name}: {refused}", err=True)
        raise click.exceptions.Exit(2) from None
    except click.UsageError as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # since click 8.2
            raise
        of = error.ctx.command_path if error.ctx is not None else name
        click.echo(f"{of}: {' '.join(error.format_message().split()).rstrip('.')}; see {of} --help", err=True)
        raise click.exceptions.Exit(2) from None
    except KeyboardInterrupt:
        click.echo(f"{name}: interrupted", err=True)
        raise click.exceptions.Exit(130) from None


class Number(click.FloatRange):
    """A range of numbers without NaN, which click's own lets pass, and without infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Command(click.Command):
    """A click command that prints a user's error as one line on standard error and exits with 2."""

    def make_context(self, info_name: str | None, *args: Any, **extra: Any) -> click.Context:
        return ended(str(info_name), lambda: super(Command, self).make_context(info_name, *args, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        return ended(ctx.command_path, lambda: super(Command, self).invoke(ctx))


class Group(click.Group):
    """A click group whose commands are all of the class above, and that ends as they do."""

    command_class = Command

    def make_context(self, info_name: str | None, *args: Any, **extra: Any) -> click.Context:
        return ended(str(info_name), lambda: super(Group, self).make_context(info_name, *args, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        return ended(ctx.command_path, lambda: super(Group, self).invoke(ctx))
