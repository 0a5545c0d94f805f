"""Writing a file so that it is either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ReagingError


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
