"""From a folder of photos to a training set: find, align, cut, filter, drop doubles, split, write; interruptible, and always the same."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ReagingError
from ..files import remove_abandoned
from .archive import Dropped
from .crops import Cutting, FaceCutter
from .duplicates import Look, find_duplicates
from .layouts import Photo, read_layout
from .pieces import PHOTOS, Done, keep_plan, piece_path, plan_of, read_piece, write_piece
from .report import write_report
from .shards import MANIFEST
from .write import Face, shard_bytes, split_of, write_dropped, write_manifest, write_shards

WORK = ".work"  # in OUT, until the run is done
WRITTEN = (MANIFEST, "report.html", "dropped.csv")


@dataclass(frozen=True)
class Prepared:
    """What a run made of its source."""

    faces: int
    dropped: Counter[str]  # by reason
    shards: list[Path]


def prepare(
    source: Path, out: Path, layout: str, how: Cutting, workers: int = 1, shard_mb: float = 256, resume: bool = False, force: bool = False,
    progress: bool = True,
) -> Prepared:  # fmt: skip
    """Writes shards, manifest.json, dropped.csv and report.html into the folder ``out``.

    The same source and options give the same shards, whatever the number of workers and however often the run was interrupted.  Raises
    ReagingError where the source cannot be read, ``out`` is taken, the disk is full, or no face is left.
    """
    photos, dropped = read_layout(source, layout)
    settings = _settings(source, layout, how, shard_mb)
    claim_folder(out, resume, force)
    work = out / WORK
    keep_plan(work, plan_of(photos, settings))
    _run_pieces(photos, work, how, workers, progress)
    done = [
        d for start in range(0, len(photos), PHOTOS) for d in read_piece(piece_path(work, start // PHOTOS), photos[start : start + PHOTOS])
    ]
    faces, left_out = _choose(done, source.stem)
    dropped = sorted([*dropped, *(Dropped(d.photo.name, reason) for d, reason in left_out)], key=lambda d: d.name)
    shards = write_shards(out, faces, settings, shard_bytes(shard_mb))
    write_dropped(out / "dropped.csv", dropped)
    write_report(out / "report.html", settings, faces, dropped, {d.photo.name: d for d, _ in left_out})
    write_manifest(out, shards, settings, faces, dropped)
    remove_work(work)
    if not faces:
        raise ReagingError(f"no usable face in {len(photos)} photos of {source}", "photos of faces", f"see why in {out / 'report.html'}")
    return Prepared(len(faces), Counter(d.reason for d in dropped), shards)


def claim_folder(out: Path, resume: bool, force: bool) -> None:
    """Makes OUT, or takes an unfinished or unwanted one; raises ReagingError where it holds anything else."""
    if out.exists() and not out.is_dir():
        raise ReagingError(f"{out} is a file", "the name of a folder", "choose another name")
    if resume and force:
        raise ReagingError("--resume and --force exclude each other", "one of them", "--resume goes on, --force begins anew")
    entries = list(out.iterdir()) if out.exists() else []
    if resume and entries and not (out / WORK / "plan.json").is_file():
        if (out / MANIFEST).is_file():
            shutil.rmtree(out / WORK, ignore_errors=True)  # what a kill left of it
        state = "is finished" if (out / MANIFEST).is_file() else "holds nothing to go on with"
        raise ReagingError(f"{out} {state}", "a run that was interrupted", "leave it, or begin anew with --force")
    if force:
        shutil.rmtree(out / WORK, ignore_errors=True)
        for path in [*out.glob("shard-*.tar"), *(out / name for name in WRITTEN)]:
            path.unlink(missing_ok=True)
    elif entries and not resume:
        raise ReagingError(f"{out} is not empty", "a new folder", "--resume goes on with an interrupted run, --force begins anew")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReagingError(f"cannot make {out} ({error.strerror})", "a writable place", "choose another") from None
    remove_abandoned(out)


def remove_work(work: Path) -> None:
    """The plan first: killed in the middle of this, the run counts as finished, and not as one to go on with from what is left."""
    (work / "plan.json").unlink()
    shutil.rmtree(work)


def _settings(source: Path, layout: str, how: Cutting, shard_mb: float) -> dict[str, Any]:
    def net(path: Path | None, without: str) -> str:
        return f"{path.name} sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" if path and path.is_file() else without

    return {
        "source": source.name or source.resolve().name,
        "layout": layout,
        "size": how.size,
        "detector": net(how.detector, "bundled finder and aligner"),
        "masks": net(how.masks, "none"),
        "filters": {k: v if abs(v) != float("inf") else str(v) for k, v in asdict(how.filters).items()},
        "shard_mb": shard_mb,
        "version": __version__,
    }


def _choose(done: list[Done], source: str) -> tuple[list[Face], list[tuple[Done, str]]]:
    """The faces that stay, each with its split and identity, and the others with the reason."""
    left_out = [(d, d.reason) for d in done if d.reason]
    kept = [d for d in done if not d.reason]
    doubles = find_duplicates(
        [Look(d.hash, d.gray, d.photo.age, d.photo.range, d.photo.identity, d.measures.resolution if d.measures else 0.0) for d in kept]
    )
    left_out += [(kept[i], reason) for i, reason in doubles.items()]
    faces = []
    for i, d in enumerate(kept):
        if i not in doubles:
            identity = f"{source}/{d.photo.identity}" if d.photo.identity else ""
            faces.append(Face(d, identity, split_of(d, identity)))
    return faces, left_out


# pieces, in this process or in several

_cutter: FaceCutter | None = None  # of this process


def _run_pieces(photos: list[Photo], work: Path, how: Cutting, workers: int, progress: bool) -> None:
    """Makes the pieces that are not there yet."""
    from tqdm import tqdm

    pieces = [(piece_path(work, start // PHOTOS), photos[start : start + PHOTOS]) for start in range(0, len(photos), PHOTOS)]
    open_pieces = [(path, part) for path, part in pieces if not path.exists()]
    finished = sum(len(part) for path, part in pieces if path.exists())
    FaceCutter(how)  # a net that cannot be loaded is said here, in words, before any worker starts
    with tqdm(total=len(photos), initial=finished, unit="photo", desc="aligning", disable=not progress, mininterval=0.5) as bar:
        for count in _in_pool(open_pieces, how, workers) if workers > 1 and len(open_pieces) > 1 else _here(open_pieces, how):
            bar.update(count)


def _here(pieces: list[tuple[Path, list[Photo]]], how: Cutting) -> Iterator[int]:
    global _cutter
    _cutter = FaceCutter(how)
    for path, part in pieces:
        yield _make_piece(path, part)


def _in_pool(pieces: list[tuple[Path, list[Photo]]], how: Cutting, workers: int) -> Iterator[int]:
    context = multiprocessing.get_context("spawn")  # threads of OpenCV and ONNX Runtime do not survive a fork
    queue = iter(pieces)
    with ProcessPoolExecutor(workers, context, _begin_worker, (how, os.getpid())) as pool:
        running = {pool.submit(_make_piece, *piece) for piece in islice(queue, 3 * workers)}
        try:
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
                    running |= {pool.submit(_make_piece, *piece) for piece in islice(queue, 1)}
        except BrokenProcessPool:
            raise ReagingError("a worker was killed", "enough memory for all of them", "go on with fewer: --resume --workers 1") from None
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begin_worker(how: Cutting, parent: int) -> None:
    """Ctrl-C is the parent's to handle; a worker whose parent was killed ends itself."""
    global _cutter
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)
    _cutter = FaceCutter(how)


def _make_piece(path: Path, photos: list[Photo]) -> int:
    assert _cutter is not None
    write_piece(path, [_cutter(photo) for photo in photos])
    return len(photos)
