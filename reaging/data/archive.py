"""Where the bytes of a file lie: on the disk, or within a tar.  Nothing is unpacked, no link is followed out of its place."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import ReagingError


@dataclass(frozen=True)
class Span:
    """A file, or a stretch of one."""

    path: Path
    offset: int = 0
    size: int = -1  # -1: to the end

    def read(self) -> bytes:
        """Raises OSError where the file cannot be read."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class Dropped:
    """A file that is not used, and why."""

    name: str
    reason: str


Files = dict[str, Span]


def list_files(source: Path) -> tuple[Files, list[Dropped]]:
    """The files of a folder or tar by their names in it ('/' between the parts), sorted, and those that may not be read.

    Raises ReagingError where ``source`` is neither, or a compressed tar, which cannot be read out of order.
    """
    if source.is_dir():
        files, dropped = list_folder(source)
    elif source.is_file() and source.stat().st_size and tarfile.is_tarfile(source):
        files, dropped = list_tar(source)
    else:
        raise ReagingError(f"{source} cannot be read as data", "a folder or a tar", "check the path; unpack other archives first")
    return dict(sorted(files.items())), sorted(dropped, key=lambda d: d.name)


def list_folder(folder: Path) -> tuple[Files, list[Dropped]]:
    """Files below ``folder``, hidden ones aside; links that lead out of it are named among the dropped."""
    files: Files = {}
    dropped: list[Dropped] = []
    root = folder.resolve()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in PurePosixPath(name).parts) or path.is_dir():
            continue
        if not path.exists():
            dropped.append(Dropped(name, "a link to nothing"))
        elif not path.resolve().is_relative_to(root):
            dropped.append(Dropped(name, "a link that leads out of the folder"))
        elif path.is_file():
            files[name] = Span(path)
    return files, dropped


def list_tar(path: Path) -> tuple[Files, list[Dropped]]:
    """Plain files of a tar; what climbs out of it, is linked, or lies behind damage is named among the dropped."""
    files: Files = {}
    dropped: list[Dropped] = []
    try:
        with tarfile.open(path, "r:") as tar:
            try:
                for member in tar:
                    name = member.name.removeprefix("./")
                    parts = PurePosixPath(name).parts
                    if name.startswith("/") or ".." in parts:
                        dropped.append(Dropped(name, "a path that climbs out of the tar"))
                    elif member.issym() or member.islnk():
                        dropped.append(Dropped(name, "a link in a tar"))
                    elif name in files:
                        dropped.append(Dropped(name, "a name that is in the tar twice: the first is taken"))
                    elif member.isreg() and not member.sparse and not any(p.startswith(".") for p in parts):
                        files[name] = Span(path, member.offset_data, member.size)
            except (tarfile.TarError, OSError, EOFError):
                files.pop(next(reversed(files), ""), None)  # the last one is not whole
                dropped.append(Dropped(path.name, "the tar is cut off"))
    except tarfile.TarError:
        raise ReagingError(f"{path} is a compressed or damaged tar", "a plain tar or a folder", "unpack it and name the folder") from None
    return files, dropped
