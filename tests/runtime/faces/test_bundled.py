"""The bundled finder and aligner on real pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import shared_file

from reaging.errors import ReagingError
from reaging.runtime.faces.find import FaceFinder, YuNetFinder, _without_doubles, network_input, overlap
from reaging.runtime.faces.landmarks import FaceAligner
from reaging.runtime.faces.template import face_box
from reaging.runtime.faces.track import FaceTracker
from reaging.runtime.sources import open_source


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def aligner() -> FaceAligner:
    return FaceAligner()


@pytest.fixture(scope="module")
def portrait(astronaut: Path) -> np.ndarray:
    picture = cv2.imread(str(astronaut))
    assert picture is not None
    return picture


# the astronaut's pupils, tip of the nose and mouth corners, read off the enlarged picture
ASTRONAUT = np.float32([[203, 101], [246, 103], [225, 126], [203, 140], [243, 141]])


@pytest.fixture(params=["as it is", "tall", "wide", "small", "large"])
def framed(request: pytest.FixtureRequest, portrait: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The portrait in frames of several shapes, and where its landmarks are there."""
    part, shift, scale = portrait, np.zeros(2), 1.0
    if request.param == "tall":
        part, shift = portrait[:, 120:340], np.array([-120, 0])
    elif request.param == "wide":
        part, shift = portrait[20:260], np.array([0, -20])
    elif request.param == "small":
        scale = 0.4
    elif request.param == "large":
        scale = 3.0
    part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.ascontiguousarray(part), (ASTRONAUT + shift + 0.5) * scale - 0.5


def test_a_face_is_found_and_aligned_in_frames_of_any_shape(
    finder: FaceFinder, aligner: FaceAligner, framed: tuple[np.ndarray, np.ndarray]
) -> None:
    frame, truth = framed
    face = finder(frame)[0]
    assert overlap(face.box, face_box(truth)) > 0.5
    (aligned,) = aligner(frame, aligner(frame, [face]))
    eyes = np.hypot(*(truth[1] - truth[0]))
    assert np.hypot(*(aligned.landmarks - truth).T).mean() < 0.12 * eyes  # the truth itself was read to a pixel or two of 43


def test_of_two_that_agree_on_the_place_only_the_better_one_is_the_face() -> None:
    upright = ASTRONAUT * 2
    middle = face_box(upright)[:2] + face_box(upright)[2:] / 2
    upside_down = 2 * middle - upright
    (face,) = _without_doubles(np.stack([upright, upside_down]), np.float32([0.9, 0.9]))
    assert np.array_equal(face.landmarks, upright) and np.abs(face.box - face_box(upright)).max() < 1e-3


@pytest.mark.parametrize("size", [(240, 320), (97, 33), (32, 1)])
def test_the_finder_sees_rgb_from_minus_one_to_one_filled_up_with_gray(size: tuple[int, int]) -> None:
    small = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    height, width = (-(-side // 32) * 32 for side in size)
    expected = np.full((height, width, 3), 128.0)
    expected[: size[0], : size[1]] = small[..., ::-1]
    assert np.abs(network_input(small) - (expected / 127.5 - 1).transpose(2, 0, 1)).max() < 1e-6


def test_frames_of_one_pixel_and_huge_ones_are_searched(finder: FaceFinder, portrait: np.ndarray) -> None:
    for shape in ((1, 1, 3), (1, 500, 3), (3000, 4, 3)):
        assert finder(np.full(shape, 90, np.uint8)) == []
    huge = cv2.resize(portrait, (4096, 4096), interpolation=cv2.INTER_LINEAR)
    assert overlap(finder(huge)[0].box, face_box(ASTRONAUT * 8)) > 0.5


def test_the_aligner_refuses_what_is_no_face_and_keeps_the_numbers_of_the_others(aligner: FaceAligner, portrait: np.ndarray) -> None:
    from dataclasses import replace

    from reaging.runtime.faces.face import Face

    def at(points: np.ndarray, track: int) -> Face:
        return Face(face_box(points), points.astype(np.float32), 1.0, track)

    flag = ASTRONAUT + np.float32([-170, 150])
    collapsed = replace(at(ASTRONAUT, 3), landmarks=np.zeros((5, 2), np.float32))
    found = aligner(portrait, [at(flag, 1), at(ASTRONAUT, 2), collapsed])
    assert [face.track for face in found] == [2]


def test_a_rough_start_is_corrected(aligner: FaceAligner, portrait: np.ndarray) -> None:
    """Landmarks off by a quarter of the eye distance end where exact ones do."""
    from reaging.runtime.faces.face import Face

    def settled(points: np.ndarray) -> np.ndarray:
        faces = [Face(face_box(points), points.astype(np.float32), 1.0)]
        for _ in range(3):
            faces = aligner(portrait, faces)
        return faces[0].landmarks

    exact = settled(ASTRONAUT)
    for shift in ((10, 0), (-7, 7), (0, -10)):
        assert np.hypot(*(settled(ASTRONAUT + np.float32(shift)) - exact).T).max() < 2.5


@pytest.fixture(scope="module")
def clip_frames() -> Iterator[list[np.ndarray]]:
    source = open_source(str(shared_file("video/two_faces_lowres.mp4")))
    yield [shot.frame for shot in source]
    source.close()


def test_two_people_are_kept_apart_over_a_whole_clip(finder: FaceFinder, aligner: FaceAligner, clip_frames: list[np.ndarray]) -> None:
    tracker = FaceTracker(finder, aligner)
    counts, left = [], set()
    for i, frame in enumerate(clip_frames):
        tracker.find(frame)
        faces = tracker.align(frame, i / 24)
        counts.append(len(faces))
        left |= {face.track for face in faces if face.landmarks[2, 0] < frame.shape[1] / 2}
    assert np.mean([count == 2 for count in counts]) > 0.95
    assert len(left) <= 2


@pytest.mark.parametrize(("clip", "turned"), [("woman_720p", False), ("man_480p", True)])
def test_nothing_in_the_background_is_taken_for_a_second_face(finder: FaceFinder, aligner: FaceAligner, clip: str, turned: bool) -> None:
    """A plant in one clip, scaled to 640 x 480, and something in the other's mirror image were, for twenty frames."""
    tracker = FaceTracker(finder, aligner)
    for shot in open_source(str(shared_file(f"video/{clip}.mp4"))):
        frame = shot.frame[:, ::-1].copy() if turned else cv2.resize(shot.frame[:, 160:1120], (640, 480), interpolation=cv2.INTER_AREA)
        tracker.find(frame)
        assert len(tracker.align(frame, shot.time)) == 1, shot.name


def test_yunet_can_take_the_finders_place(yunet: Path, portrait: np.ndarray) -> None:
    face = YuNetFinder(yunet)(portrait)[0]
    assert np.abs(face.landmarks - ASTRONAUT).max() < 6


def test_a_detector_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReagingError):
        YuNetFinder(tmp_path / "missing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ReagingError):
        YuNetFinder(tmp_path / "broken.onnx")
