"""The finder and the aligner against YuNet on real frames: what they find and wrongly find, how exact, steady and fast they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ReagingError
from ..files import write_text
from ..runtime.faces.face import Face, Points
from ..runtime.faces.find import FaceFinder, YuNetFinder, overlap
from ..runtime.faces.landmarks import MIRRORED, FaceAligner
from ..runtime.faces.template import face_box
from ..runtime.faces.track import FaceTracker, convincing
from ..runtime.sinks.picture import write_picture
from ..runtime.sources import open_source
from ..runtime.sources.base import Frame, Shot
from .report import fingerprint, markdown_table, write_json

EVERY = 5  # of a clip's frames, for everything but steadiness
LARGE = 60  # pixels of a face's height from which it must be found
SAME = 0.4  # overlap of two boxes of one face
UNSURE = 10.0  # percent of the eye distance: where YuNet's landmarks in the mirror are farther from its others it is no yardstick
DOUBTFUL = 0.3  # where YuNet scores less than this anywhere, a picture counts as one without a face
TIMED = (640, 480)  # pixels of the frame that is timed
RUNS = 60


@dataclass
class Tally:
    """What one method did over all frames."""

    found: int = 0  # of YuNet's large faces
    missed: int = 0
    errors: list[float] = field(default_factory=list)  # landmarks' mean distance to YuNet's, percent of the eye distance, per face
    false_frames: int = 0  # frames without a face in which it saw one
    false_faces: int = 0


def measure_faces(yunet: Path, clips: list[Path], photos: list[Path], out: Path) -> dict[str, Any]:
    """Compares the bundled finder and aligner with YuNet; returns the report.

    Writes ``faces.json``, ``faces.md`` and pictures of what was missed or wrongly seen to ``out``.  clips: videos with faces; photos:
    pictures and folders of them, with faces or without.  Frames without a face are the photos, and the parts of the clips' frames beside
    the faces, in which YuNet sees nothing.  Raises ReagingError where a file cannot be read or no face is in any.
    """
    teacher, doubting = YuNetFinder(yunet), YuNetFinder(yunet, DOUBTFUL)
    finder, aligner = FaceFinder(), FaceAligner()
    methods: dict[str, Callable[[Frame], list[Face]]] = {
        "finder": finder,
        "finder and aligner": lambda frame: _aligned_twice(aligner, frame, finder(frame)),
    }
    out.mkdir(parents=True, exist_ok=True)
    tallies = {name: Tally() for name in methods}
    faceless = 0
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        own: list[float] = []
        for shot in _shots(clips, photos):
            faces = [face for face in teacher(shot.frame) if face.box[3] >= LARGE]
            in_mirror = _in_mirror(teacher, shot.frame) if faces else []
            truths = [_steadied(face, in_mirror) for face in faces]
            own += [np.inf if truth is None else landmark_error(face.landmarks, truth) for face, truth in zip(faces, truths, strict=True)]
            for name, method in methods.items():
                _compare(tallies[name], faces, truths, method(shot.frame) if faces else [], shot, out / f"missed by {name}")
            for part in _faceless_parts(shot.frame, doubting):
                faceless += 1
                for name, method in methods.items():
                    _count_false(tallies[name], method(part), part, out / f"false of {name}" / f"{shot.name}_{faceless}.jpg")
        if not any(t.found + t.missed for t in tallies.values()):
            raise ReagingError("YuNet finds no face in these files", "clips or photos with faces", "name others with --data")
        report = {
            "kind": "faces",
            "machine": fingerprint(),
            "large_faces": tallies["finder"].found + tallies["finder"].missed,
            "faceless_frames": faceless,
            "unsure_faces": int(np.isinf(own).sum()),
            "yunet_landmark_error_percent": round(float(np.mean(np.array(own)[np.isfinite(own)])), 2),
            "methods": {name: _summary(tally, faceless) for name, tally in tallies.items()},
            "steadiness": [_steadiness(clip, teacher, finder, aligner) for clip in clips],
            "milliseconds": _milliseconds((clips or photos)[0], yunet, finder, aligner),
        }
    finally:
        cv2.setNumThreads(threads)
    write_json(out / "faces.json", report)
    write_text(out / "faces.md", faces_markdown(report))
    return report


def _shots(clips: list[Path], photos: list[Path]) -> Iterator[Shot]:
    """Every fifth frame of the clips, and every photo."""
    for i, path in enumerate([*clips, *photos]):
        source = open_source(str(path))
        try:
            for number, shot in enumerate(source):
                if source.still or number % EVERY == 0:
                    yield shot._replace(name=f"{i:02d}_{Path(shot.name).stem}")
        finally:
            source.close()


def _aligned_twice(aligner: FaceAligner, frame: Frame, faces: list[Face]) -> list[Face]:
    """As the tracker takes new faces in."""
    numbered = [replace(face, track=i) for i, face in enumerate(faces)]
    return [face for face in aligner(frame, aligner(frame, numbered)) if convincing(faces[face.track].score, face.score)]


def _in_mirror(teacher: YuNetFinder, frame: Frame) -> list[Face]:
    """What YuNet sees in the frame's mirror image, mirrored back."""
    width = frame.shape[1]
    faces = teacher(np.ascontiguousarray(frame[:, ::-1]))
    turn, shift = np.array([-1, 1], np.float32), np.array([width - 1, 0], np.float32)
    points = [face.landmarks[MIRRORED] * turn + shift for face in faces]
    return [Face(face_box(landmarks), landmarks, face.score) for landmarks, face in zip(points, faces, strict=True)]


def _steadied(face: Face, in_mirror: list[Face]) -> Points | None:
    """The mean of YuNet's landmarks of a face and those it gives in the mirror; None where they are more than UNSURE apart."""
    box = face_box(face.landmarks)
    same = [other.landmarks for other in in_mirror if overlap(box, other.box) >= SAME]
    same = [points for points in same if landmark_error(points, face.landmarks) <= UNSURE]
    return np.mean([face.landmarks, same[0]], axis=0, dtype=np.float32) if same else None


def _compare(tally: Tally, expected: list[Face], truths: list[Points | None], found: list[Face], shot: Shot, misses: Path) -> None:
    for face, truth in zip(expected, truths, strict=True):
        # YuNet's own boxes hug some faces and not others: both boxes are drawn over the landmarks in the same way
        box = face_box(face.landmarks)
        best = max(found, key=lambda other: overlap(box, other.box), default=None)
        if best is None or overlap(box, best.box) < SAME:
            tally.missed += 1
            misses.mkdir(exist_ok=True)
            _write_marked(misses / f"{shot.name}.jpg", shot.frame, [face])
            continue
        tally.found += 1
        if truth is not None:
            tally.errors.append(landmark_error(best.landmarks, truth))


def landmark_error(found: Points, truth: Points) -> float:
    """Mean distance of five landmarks [5, 2] to the true ones, in percent of the true eye distance."""
    eyes = float(np.hypot(*(truth[1] - truth[0])))
    return float(np.hypot(*(found - truth).T).mean()) / max(eyes, 1e-6) * 100


def _faceless_parts(frame: Frame, doubting: YuNetFinder) -> Iterator[Frame]:
    """The whole frame where YuNet sees no face in it; else its largest band (left, right, above, below) that keeps away from every face by
    more than half the face's size, if it is a sixth of the frame at least and YuNet sees nothing in it on its own."""
    faces = doubting(frame)
    if not faces:
        yield frame
        return
    height, width = frame.shape[:2]
    boxes = np.stack([face.box for face in faces])
    grown = boxes[:, 2:] * 0.6
    low = np.clip((boxes[:, :2] - grown).min(0), 0, (width, height)).astype(int)
    high = np.clip((boxes[:, :2] + boxes[:, 2:] + grown).max(0), 0, (width, height)).astype(int)
    bands = [frame[:, : low[0]], frame[:, high[0] :], frame[: low[1]], frame[high[1] :]]
    band = max(bands, key=lambda b: b.size)
    if band.shape[0] * band.shape[1] * 6 >= height * width and min(band.shape[:2]) >= 64 and not doubting(np.ascontiguousarray(band)):
        yield np.ascontiguousarray(band)


def _count_false(tally: Tally, faces: list[Face], frame: Frame, path: Path) -> None:
    if faces:
        tally.false_frames += 1
        tally.false_faces += len(faces)
        path.parent.mkdir(exist_ok=True)
        _write_marked(path, frame, faces)


def _write_marked(path: Path, frame: Frame, faces: list[Face]) -> None:
    picture = frame.copy()
    for face in faces:
        x, y, w, h = (int(v) for v in face.box)
        cv2.rectangle(picture, (x, y), (x + w, y + h), (0, 0, 255), 2)
    write_picture(path, picture)


def _summary(tally: Tally, faceless: int) -> dict[str, Any]:
    errors = np.array(tally.errors or [np.nan])
    return {
        "recall_percent": round(100 * tally.found / max(1, tally.found + tally.missed), 2),
        "missed": tally.missed,
        "false_per_100_frames": round(100 * tally.false_faces / max(1, faceless), 2),
        "false_frames": tally.false_frames,
        "landmark_error_percent": round(float(errors.mean()), 2),
        "landmark_error_median": round(float(np.median(errors)), 2),
        "landmark_error_p95": round(float(np.percentile(errors, 95)), 2),
    }


def _steadiness(clip: Path, teacher: YuNetFinder, finder: FaceFinder, aligner: FaceAligner) -> dict[str, Any]:
    """Jitter of the largest face's landmarks on all frames of a clip, and how far the smoothed track lags behind YuNet's landmarks."""
    tracks: dict[str, FaceTracker] = {
        "yunet": FaceTracker(teacher, smooth=False),
        "aligner": FaceTracker(finder, aligner, smooth=False),
        "smoothed": FaceTracker(finder, aligner),
    }
    points: dict[str, list[Points]] = {name: [] for name in tracks}
    source = open_source(str(clip))
    for shot in source:
        found = {}
        for name, tracker in tracks.items():
            tracker.find(shot.frame)
            found[name] = tracker.align(shot.frame, shot.time)
        reference = max(found["yunet"], key=lambda face: face.box[3], default=None)
        for name, faces in found.items():
            same = [f for f in faces if reference is not None and overlap(face_box(reference.landmarks), face_box(f.landmarks)) >= SAME]
            points[name].append(same[0].landmarks if same else np.full((5, 2), np.nan, np.float32))
    source.close()
    series = {name: np.stack(values) for name, values in points.items()}
    off = [landmark_error(s, y) for s, y in zip(series["smoothed"], series["yunet"], strict=True) if np.isfinite(s).all()]
    return {
        "clip": clip.name,
        "frames": len(points["yunet"]),
        **{f"jitter_{name}": round(jitter(values), 3) for name, values in series.items()},
        "smoothed_off_percent": round(float(np.mean(off)), 2) if off else None,
    }


def jitter(track: Points) -> float:
    """Median over frames of the landmarks' mean second difference p(t-1) - 2 p(t) + p(t+1), in percent of the eye distance.

    track [T, 5, 2], nan where there was no face.  Steady motion has none; what is left is trembling, and real jerks, which are the same for
    every method.
    """
    second = track[:-2] - 2 * track[1:-1] + track[2:]
    eyes = np.hypot(*(track[1:-1, 1] - track[1:-1, 0]).T)
    size = np.hypot(second[..., 0], second[..., 1]).mean(axis=1) / eyes * 100
    return float(np.nanmedian(size)) if np.isfinite(size).any() else float("nan")


def _milliseconds(path: Path, yunet: Path, finder: FaceFinder, aligner: FaceAligner) -> dict[str, float]:
    """Median processor time for a frame of 640 x 480, one face in the aligner: what it takes on one core that does nothing else."""
    source = open_source(str(path))
    frame = cv2.resize(next(iter(source)).frame, TIMED, interpolation=cv2.INTER_AREA)
    source.close()
    teacher = YuNetFinder(yunet)
    faces = (finder(frame) or teacher(frame))[:1]
    cases: dict[str, Callable[[], object]] = {
        "finder": lambda: finder(frame),
        "aligner": lambda: aligner(frame, faces),
        "yunet": lambda: teacher(frame),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(RUNS):
        for name, case in cases.items():
            start = time.process_time()
            case()
            times[name].append(time.process_time() - start)
    return {name: round(float(np.median(values)) * 1e3, 2) for name, values in times.items()}


def faces_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    names = list(report["methods"])
    rows = [
        (f"recall of YuNet's {report['large_faces']} faces over {LARGE} px, %", "recall_percent"),
        (f"false faces in 100 frames without one ({report['faceless_frames']} frames)", "false_per_100_frames"),
        ("landmarks' distance to YuNet's, mean, % of the eye distance", "landmark_error_percent"),
        ("the same, median", "landmark_error_median"),
        ("the same, 95 % of the faces within", "landmark_error_p95"),
    ]
    table = markdown_table(["", *names], [[text, *(str(report["methods"][name][key]) for name in names)] for text, key in rows])
    steady = markdown_table(
        ["jitter, % of the eye distance", "frames", "YuNet", "aligner", "aligner, smoothed", "smoothed, distance to YuNet"],
        [
            [s["clip"], *(str(s[key]) for key in ("frames", "jitter_yunet", "jitter_aligner", "jitter_smoothed", "smoothed_off_percent"))]
            for s in report["steadiness"]
        ],
    )
    spent = report["milliseconds"]
    times = markdown_table(["ms of processor time, frame of 640 x 480", *spent], [["median", *(str(ms) for ms in spent.values())]])
    doubt = (
        f"YuNet's landmarks are the mean of those it gives in the frame and in its mirror image, from which its own in the frame are "
        f"{report['yunet_landmark_error_percent']} % away; "
        f"{report['unsure_faces']} faces where the two are more than {UNSURE:.0f} % apart do not count."
    )
    return f"{table}\n\n{doubt}\n\n{steady}\n\n{times}\n"
