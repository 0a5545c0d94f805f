"""What the window draws over the picture: figures, list of keys, messages, marks on faces, the split line."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .controls import HELP, Controls
from .filter import FaceFilter
from .sources.base import Frame

WHITE, GRAY, RED, BLUE = (240, 240, 240), (170, 170, 170), (60, 60, 235), (255, 190, 90)
FONT = cv2.FONT_HERSHEY_SIMPLEX
TIMED = ("find", "align", "infer", "paste", "sink")
DARK = 0.35  # how much of the picture shines through behind text


def dressed(picture: Frame, before: Frame | None, controls: Controls) -> Frame:
    """What the window shows of a finished picture, uint8 [H, W, 3] BGR; the picture itself stays as it is.

    ``before`` is the unchanged frame; without it, or where its shape is another (a sheet), there is no mirror, no split and no mark.
    """
    shown = picture.copy()
    height, width = shown.shape[:2]
    scale = max(0.6, min(1.5, height / 800))  # text below it could not be read
    if before is not None and before.shape == picture.shape:
        at = 0 if controls.split is None else round(controls.split * (width - 1))
        if controls.mirror:
            shown[:, width - at :] = before[:, width - at :]
            shown = cv2.flip(shown, 1)
        else:
            shown[:, :at] = before[:, :at]
        if controls.split is not None:
            cv2.line(shown, (at, 0), (at, height - 1), WHITE, max(1, round(2 * scale)))
        _marks(shown, controls, scale)
    if controls.help:
        _keys(shown, scale)
    elif controls.hud:
        _panel(shown, figures(controls), (0, 0), scale)
    if controls.message:
        _panel(shown, [controls.message], (0, height), scale)
    if controls.recording:
        cv2.circle(shown, (width - round(30 * scale), round(30 * scale)), round(12 * scale), RED, -1, cv2.LINE_AA)
    return shown


def figures(controls: Controls) -> list[str]:
    """Target, faces, frame rate, delay, milliseconds of each stage, backend and device: the lines of the HUD."""
    face_filter, own = controls.face_filter, controls.own
    stages, faces = face_filter.stages, len(face_filter.faces)
    whose = "" if own is None else f" of face {own}"
    states = [
        "" if face_filter.strength == 1 else f"strength {face_filter.strength:.0%}",
        "" if face_filter.on else "OFF",
        "frozen" if controls.frozen else "",
        "sweep" if controls.sweep else "",
    ]
    delay = stages.recent("delay")
    return [
        "  ".join([f"age {controls.age:.0f}{whose}", *filter(None, states)]),
        f"{faces} face{'' if faces == 1 else 's'}  {stages.fps:.1f} fps" + (f"  delay {delay:.0f} ms" if delay else ""),
        "  ".join(f"{stage} {_short(stages.recent(stage))}" for stage in TIMED) + " ms",
        device(face_filter),
    ]


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 9.95 else f"{milliseconds:.0f}"


def device(face_filter: FaceFilter) -> str:
    """Backend and device that are really used."""
    backend = face_filter.ager.backend
    return f"{type(backend).__name__} on {backend.device}"


def _marks(shown: Frame, controls: Controls, scale: float) -> None:
    """A frame around the chosen face, and the age of each face that has its own."""
    face_filter, width = controls.face_filter, shown.shape[1]
    for face in list(face_filter.faces):
        chosen, age = face.track == controls.own, face_filter.ages.get(face.track)
        left, top, wide, high = (float(v) for v in face.box)
        if controls.mirror:
            left = width - 1 - left - wide
        corner = (round(left), round(top))
        if chosen:
            cv2.rectangle(shown, corner, (round(left + wide), round(top + high)), BLUE, max(1, round(2 * scale)), cv2.LINE_AA)
        if age is not None or chosen:
            label = f"{controls.age if chosen else age:.0f}"
            cv2.putText(shown, label, (corner[0], corner[1] - round(8 * scale)), FONT, scale, BLUE, max(1, round(2 * scale)), cv2.LINE_AA)


def _panel(shown: Frame, lines: Sequence[str], corner: tuple[int, int], scale: float, color: tuple[int, int, int] = WHITE) -> None:
    """Lines of text on a darkened ground, from the corner downwards; from the lower edge upwards where the corner is there."""
    step, pad = round(28 * scale), round(10 * scale)
    wide = max(cv2.getTextSize(line, FONT, 0.75 * scale, 1)[0][0] for line in lines) + 2 * pad
    high = step * len(lines) + pad
    x, y = corner[0], corner[1] - high if corner[1] >= shown.shape[0] else corner[1]
    ground = shown[max(0, y) : y + high, x : x + wide]
    np.copyto(ground, cv2.convertScaleAbs(ground, alpha=DARK))
    for number, line in enumerate(lines, 1):
        cv2.putText(shown, line, (x + pad, y + number * step - round(4 * scale)), FONT, 0.75 * scale, color, 1, cv2.LINE_AA)


def _keys(shown: Frame, scale: float) -> None:
    """The list of keys, in two columns in the middle."""
    height, width = shown.shape[:2]
    column = max(cv2.getTextSize(key, FONT, 0.75 * scale, 1)[0][0] for key, _ in HELP) + round(30 * scale)
    wide = column + max(cv2.getTextSize(text, FONT, 0.75 * scale, 1)[0][0] for _, text in HELP) + round(20 * scale)
    high = round(28 * scale) * len(HELP) + round(10 * scale)
    x, y = max(0, (width - wide) // 2), max(0, (height - high) // 2)
    ground = shown[y : y + high, x : x + wide]
    np.copyto(ground, cv2.convertScaleAbs(ground, alpha=DARK * 0.6))
    for number, (key, text) in enumerate(HELP, 1):
        line = y + number * round(28 * scale) - round(4 * scale)
        cv2.putText(shown, key, (x + round(10 * scale), line), FONT, 0.75 * scale, BLUE, 1, cv2.LINE_AA)
        cv2.putText(shown, text, (x + column, line), FONT, 0.75 * scale, WHITE, 1, cv2.LINE_AA)
