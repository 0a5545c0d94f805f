"""Keys, slider and mouse: what they make of the filter, without a window."""

import gc
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from script import Script

from reaging.errors import ReagingError
from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.controls import HELP, Controls
from reaging.runtime.faces.face import Face
from reaging.runtime.filter import FaceFilter
from reaging.runtime.hud import dressed, figures
from reaging.runtime.sheet import compare_view
from reaging.runtime.sinks.keep import Keep
from reaging.runtime.sources import open_source
from reaging.runtime.sources.photo import read_photo
from reaging.runtime.sweep import Sweep, parse_sweep

FRAME = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


def face(track: int, x: float, y: float) -> Face:
    box = np.float32([x - 20, y - 20, 40, 40])
    eyes_and_mouth = np.float32([[x - 8, y - 5], [x + 8, y - 5], [x, y], [x - 5, y + 8], [x + 5, y + 8]])
    return Face(box, eyes_and_mouth, 0.9, track)


@pytest.fixture
def face_filter(tinting: Path) -> FaceFilter:
    return FaceFilter(Ager(open_backend(tinting, "cpu", 1)), Script(face(4, 50, 60), face(7, 150, 60), due=True), 70)


def press(controls: Controls, *keys: str) -> Controls:
    for key in keys:
        controls.press(key)
    return controls


def test_keys_change_the_age_within_its_bounds(face_filter: FaceFilter) -> None:
    controls = Controls(face_filter)
    for keys, age in {
        ("up",): 71,
        ("down", "down"): 69,
        ("pageup",): 79,
        ("3",): 30,
        ("pagedown",) * 4: 0,
        ("9", "pageup", "up"): 100,
    }.items():
        press(controls, *keys)
        assert face_filter.age == age, keys
    press(controls, "z", "0", "left", "tab", "")  # mean nothing
    assert face_filter.age == 100 and not controls.closed
    assert press(controls, "q").closed and press(Controls(face_filter), "escape").closed


def test_every_key_of_the_list_does_something(face_filter: FaceFilter) -> None:
    def state(controls: Controls) -> tuple[object, ...]:
        own = {k: v for k, v in vars(controls).items() if isinstance(v, bool | float | int | str | None)}
        return (own, face_filter.age, face_filter.on, face_filter.strength, dict(face_filter.ages))

    names = {"page up": "pageup", "page down": "pagedown", "space": " "}
    for keys, _ in HELP:
        if keys == "click a face":
            continue
        for word in ["1", "9"] if keys == "1 to 9" else keys.replace("page up, down", "pageup, pagedown").split(", "):
            controls = Controls(face_filter)
            face_filter.ages[4] = 5.0
            face_filter.strength = 0.5
            before = state(controls)
            controls.press(names.get(word, word))
            assert state(controls) != before, word


def test_a_clicked_face_has_its_own_age(face_filter: FaceFilter) -> None:
    controls = Controls(face_filter)
    controls(FRAME, 0.0)
    controls.grab(150, 60, 200)
    assert controls.own == 7
    controls.set_age(20)
    assert face_filter.age == 70 and face_filter.ages == {7: 20} and controls.age == 20
    controls.grab(150, 60, 200)  # the same again lets it go, and so does the background
    assert controls.own is None and controls.age == 70
    controls.grab(50, 60, 200)
    controls.grab(100, 5, 200)
    assert controls.own is None
    press(controls, "m").grab(150, 60, 200)  # mirrored, the other one is there
    assert controls.own == 4
    press(controls, "5", "a")
    assert face_filter.ages == {} and controls.own is None
    picture = controls(FRAME, 1.0).astype(int) - FRAME  # the filter really makes two ages of it
    face_filter.ages = {4: 100, 7: 0}
    for n in range(40):
        picture = controls(FRAME, 1 + n / 30).astype(int) - FRAME
    assert picture[60, 50, 2] > picture[60, 150, 2] + 20


def test_the_slider_ends_a_sweep_and_the_sweep_moves_the_age(face_filter: FaceFilter) -> None:
    glide = face_filter.glide_s
    controls = Controls(face_filter, sweep=Sweep(10, 90, 4))
    seen = [(controls(FRAME, t), face_filter.age)[1] for t in (0, 1, 2, 4, 6, 8, 9)]
    assert seen == [10, 30, 50, 90, 50, 10, 30]
    press(controls, "up")
    controls(FRAME, 10)
    assert face_filter.age == 31 and controls.sweep is None and face_filter.glide_s == glide


@pytest.mark.parametrize("text", ["", "5", "5:80", "5:80:0s", "5:80:xs", "5:800:6s", "old:80:6s", "5:80:nans", "5:80:6s:1"])
def test_bad_sweeps_are_one_line(text: str) -> None:
    with pytest.raises(ReagingError):
        parse_sweep(text)


def test_sweeps_as_they_are_written() -> None:
    assert parse_sweep("5:80:6s") == parse_sweep("5:80:6") == Sweep(5, 80, 6) and parse_sweep("80:5:1.5s").age_at(0) == 80


def test_frozen_the_frame_stands_and_the_age_goes_on(face_filter: FaceFilter) -> None:
    controls = Controls(face_filter)
    for n in range(20):
        old = controls(FRAME, n / 30)
    press(controls, "f", "1")
    other = 255 - FRAME
    for n in range(20, 60):
        young = controls(other, n / 30)
    assert np.array_equal(controls.before(59 / 30), FRAME) and controls.before(0.0) is None
    assert np.array_equal(young[:5], FRAME[:5]) and young[60, 50, 2] < old[60, 50, 2]
    press(controls, "f")
    assert np.array_equal(controls(other, 3.0)[:5], other[:5])


def test_strength_and_switch(face_filter: FaceFilter) -> None:
    controls = press(Controls(face_filter), "-", "-")
    assert face_filter.strength == pytest.approx(0.8) and controls.message == "strength 80%"
    press(controls, *"+++++")
    assert face_filter.strength == 1
    assert not press(controls, " ").face_filter.on and press(controls, " ").face_filter.on


def test_the_split_line_can_be_taken_and_moved(face_filter: FaceFilter) -> None:
    controls = press(Controls(face_filter), "s", "h")
    picture = controls(FRAME, 0.0)
    shown = dressed(255 - picture, FRAME, controls)
    assert np.array_equal(shown[:, :98], FRAME[:, :98]) and np.array_equal(shown[:, 102:], (255 - picture)[:, 102:])
    controls.grab(101, 60, 200)
    controls.drag(40, 200)
    controls.release()
    controls.drag(190, 200)  # after the button went up it stays
    assert controls.split == 0.2 and controls.own is None
    shown = dressed(255 - picture, FRAME, press(controls, "m"))
    assert np.array_equal(shown[:, :38], FRAME[:, ::-1][:, :38]) and np.array_equal(shown[:, 42:], (255 - picture)[:, ::-1][:, 42:])


def test_the_window_draws_on_a_copy(face_filter: FaceFilter) -> None:
    controls = press(Controls(face_filter), "?")
    picture = controls(FRAME, 0.0)
    kept = picture.copy()
    for key in ("?", "h", "r", "s"):  # the HUD, nothing, a red dot, a line
        assert key == "h" or (dressed(picture, FRAME, press(controls, key)) != picture).any()
    assert np.array_equal(picture, kept)
    for size in ((1, 1), (30, 2000), (2000, 30), (1080, 1920)):  # nothing it draws needs room
        tiny = np.zeros((*size, 3), np.uint8)
        assert dressed(tiny, tiny, press(controls, "?")).shape == tiny.shape


def test_the_figures_say_what_is_so(face_filter: FaceFilter) -> None:
    controls = Controls(face_filter)
    for n in range(5):
        controls(FRAME, n / 30)
    face_filter.stages.add("delay", 0.042)
    text = "\n".join(figures(controls))
    assert "age 70" in text and "2 faces" in text and "delay 42 ms" in text and "OnnxRuntime on cpu" in text and "infer" in text
    controls.grab(50, 60, 200)
    text = "\n".join(figures(press(controls, "2", "-", " ", "f")))
    assert "age 20 of face 4" in text and "strength 90%" in text and "OFF" in text and "frozen" in text


def test_a_sheet_is_neither_mirrored_nor_split(face_filter: FaceFilter) -> None:
    controls = press(Controls(face_filter, compare_view(face_filter), mirror=True), "s", "h")
    row = controls(FRAME, 0.0)
    assert np.array_equal(dressed(row, controls.before(0.0), controls), row)


def test_what_the_source_has_to_say_is_shown(face_filter: FaceFilter) -> None:
    controls = Controls(face_filter)
    controls.notice = lambda: "camera 0 is gone: waiting for it"
    assert controls.message == "camera 0 is gone: waiting for it"
    assert (dressed(FRAME, None, press(controls, "h"))[-20:, :100] != FRAME[-20:, :100]).any()


def test_pictures_and_recordings_are_the_filters_own(face_filter: FaceFilter, tmp_path: Path) -> None:
    pytest.importorskip("av")
    controls = Controls(face_filter)
    frame = np.full((120, 160, 3), 90, np.uint8)
    with Keep(controls, tmp_path, 10.0) as keep:
        press(controls, "p", "p")
        keep.write(frame, 50.0, "")
        press(controls, "p")
        keep.write(frame, 50.1, "")
        assert "saved reaging-" in controls.message
        press(controls, "r")
        for n in range(30):
            keep.write(frame, 51 + n / 10, "")
            if keep._recording is not None:
                wait_for_encoder(keep)
        press(controls, "r")
        keep.write(frame, 60.0, "")
    pictures, recordings = sorted(tmp_path.glob("*.png")), list(tmp_path.glob("*.mp4"))
    assert len(pictures) == 2 and len(recordings) == 1 and len(list(tmp_path.iterdir())) == 3
    assert np.array_equal(read_photo(pictures[0]), frame)
    shots = list(open_source(str(recordings[0])))
    assert shots[0].time == 0 and shots[-1].time == pytest.approx(2.9, abs=0.01) and len(shots) == 30


def test_a_recording_leaves_no_memory_behind(face_filter: FaceFilter, tmp_path: Path) -> None:
    controls = press(Controls(face_filter), "r")
    frame = np.full((120, 160, 3), 90, np.uint8)
    with Keep(controls, tmp_path, 10.0) as keep:
        keep.write(frame, 0.0, "")
        wait_for_encoder(keep)
        video = weakref.ref(keep._recording._video)
        keep.write(frame, 0.1, "")
        press(controls, "r")
        gc.disable()  # a cycle would keep the encoder until some later day
        try:
            keep.write(frame, 0.2, "")
            assert keep._recording is None and video() is None
        finally:
            gc.enable()


def wait_for_encoder(keep: Keep) -> None:
    """Until the recording's thread has taken the frame: it would drop it where it is slower."""
    worker = keep._recording._worker
    while worker._waiting is not None:
        time.sleep(0.002)


def test_a_folder_that_is_gone_is_said_and_the_filter_goes_on(face_filter: FaceFilter, tmp_path: Path) -> None:
    controls = press(Controls(face_filter), "p", "r")
    with Keep(controls, tmp_path / "gone", 10.0) as keep:
        keep.write(FRAME, 0, "")
        keep.write(FRAME, 1, "")
    assert "cannot write" in controls.message and "cannot write" in keep.note and not controls.recording
