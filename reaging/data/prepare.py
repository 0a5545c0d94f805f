"""From photos with ages to a shard: find, align, cut, write."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..files import whole_file
from ..runtime.faces.find import FaceFinder, YuNetFinder
from ..runtime.faces.landmarks import FaceAligner
from ..runtime.faces.template import cut, frame_to_crop
from .shards import Record, read_folder


def prepare(source: Path, out: Path, size: int = 256, detector: Path | None = None) -> Iterator[tuple[str, str]]:
    """Writes the faces of a folder with a labels.csv (``file,age[,identity][,split]``) to the tar shard ``out``.

    The largest face of each photo is cut out in the FFHQ template, size x size, by the aligner that the live filter uses.  Yields (file,
    "") for each face written and (file, reason) for each photo left out.  Raises ReagingError where no face is found in any of them.
    """
    records = read_folder(source)
    finder = YuNetFinder(detector) if detector else FaceFinder()
    aligner = None if detector else FaceAligner()
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["file", "identity", "split", "age", "lx1", "ly1", "lx2", "ly2", "nx", "ny", "mx1", "my1", "mx2", "my2"])
    written = 0
    with whole_file(out) as part, tarfile.open(part, "w") as tar:
        for record in sorted(records, key=lambda r: r.name):
            face, reason = _aligned_face(record, size, finder, aligner)
            if face is not None:
                name = f"{written:06d}.webp"
                crop, points = face
                _add(tar, name, cv2.imencode(".webp", crop[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 95])[1].tobytes())
                rows.writerow([name, record.identity.removeprefix("id/"), record.split, record.age, *(f"{v:.1f}" for v in points.ravel())])
                written += 1
            yield record.name, reason
        if not written:
            raise ReagingError(f"no face found in any photo of {source}", "photos with a face over 60 pixels high", "check the pictures")
        _add(tar, "labels.csv", table.getvalue().encode())


def _aligned_face(record: Record, size: int, finder: object, aligner: FaceAligner | None):  # type: ignore[no-untyped-def]
    """((crop RGB [S, S, 3], its landmarks [5, 2]), "") or (None, why not)."""
    assert isinstance(record.encoded, Path)
    frame = cv2.imread(str(record.encoded), cv2.IMREAD_COLOR)
    if frame is None:
        return None, "cannot be decoded"
    faces = finder(frame)  # type: ignore[operator]
    if aligner and faces:
        faces = aligner(frame, faces)
    if not faces:
        return None, "no face found"
    face = max(faces, key=lambda f: float(f.box[2] * f.box[3]))
    matrix = frame_to_crop(face.landmarks, size)
    return (cut(frame, matrix, size), _moved(face.landmarks, matrix)), ""


def _moved(points: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # no times, no owners: the same photos give the same bytes
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
