"""Writing a file so that it is either whole or not there, also where the process is killed, and one process at a time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ReagingError

PART = re.compile(r"\..+\.(\d+)\.part(\.[^.]*)?")
IDLE_S = 3600.0  # after which an unfinished file counts as left behind: its process may be one of another machine
_looked: set[Path] = set()  # folders in which this process has looked for such files


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` (same suffix); renames it on success, removes it on any error.

    Raises ReagingError where the folder does not exist or cannot be written, or the disk is full.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ReagingError(f"cannot write {path}", f"an existing folder {path.parent}", f"create it: mkdir -p '{path.parent}'")
    if path.is_dir():
        raise ReagingError(f"cannot write {path}", "the name of a file", "that is a folder: name a file in it")
    if path.parent not in _looked:
        _looked.add(path.parent)
        remove_abandoned(path.parent, IDLE_S)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise ReagingError(
            f"cannot write {path} ({error.strerror or error})", "a writable folder with free space", "free space or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_text(path: str | Path, text: str) -> None:
    """A text in UTF-8, whole or not at all; what of a file's name is no UTF-8 becomes an escape. Raises what whole_file raises."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def remove_abandoned(folder: Path, idle_s: float = 0.0) -> None:
    """Removes what ``whole_file`` left there when its process was killed; not what changed less than ``idle_s`` seconds ago."""
    with suppress(OSError):
        for left in folder.glob(".*.part*"):
            match = PART.fullmatch(left.name)
            if match and not _alive(int(match[1])) and time.time() - left.stat().st_mtime >= idle_s:
                left.unlink()


def _alive(process: int) -> bool:
    if os.name == "nt":  # where os.kill(process, 0) would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Waits until no other process is in this block for the same existing file; the end of a process, however it comes, lets the next in.

    On Windows nobody waits.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("rb") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
