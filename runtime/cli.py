"""reaging-cam: frames in, the same frames with other ages out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..command import MOST_THREADS, Command, Number
from ..errors import ReagingError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from .backends.base import Backend
    from .controls import Controls
    from .filter import FaceFilter
    from .sheet import View
    from .sinks import Sink
    from .sources import Source
    from .sweep import Sweep

DEFAULT_AGE = 70.0
DEVICES = ("auto", "cpu", "cuda", "tensorrt", "openvino")  # as in backends, which is too slow to import for --help
SINKS = "window, virtual, http:PORT, null, a video (.mp4), a picture (.png, .jpg) or a folder."


class SizeType(click.ParamType):
    """WIDTHxHEIGHT."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        sides = str(value).lower().split("x")
        if len(sides) != 2 or not all(side.isdecimal() and len(side) < 6 and 16 <= int(side) <= 16_384 for side in sides):
            self.fail(f"{value!r} is no size: give for example 1280x720", param, ctx)
        return int(sides[0]), int(sides[1])


def _list_cameras(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    _import_opencv()
    from .sources.camera import list_cameras

    cameras = list_cameras()
    for number, name in cameras:
        click.echo(f"{number}  {name}")
    if not cameras:
        click.echo("no camera was found", err=True)
    ctx.exit()


@click.command(cls=Command)
@click.option(
    "--model", type=Path, help="A generator: .onnx, .engine for TensorRT, or the bundled mobile (default), mobile-fp16, mobile-int8."
)
@click.option(
    "--source",
    default="camera:0",
    show_default=True,
    help="camera:NUMBER or camera:NAME, rtsp:// or http:// streams, demo, or a clip, a photo or a folder of photos.",
)
@click.option("--size", type=SizeType(), help="What a camera is asked for. Default: 640x480.")
@click.option("--sink", "sinks", multiple=True, default=("window",), show_default=True, help=f"{SINKS} May be given several times.")
@click.option("--age", metavar="YEARS", help="Years to change every face to, 0 to 100. Default: 70.")
@click.option("--ages", metavar="LIST", help="A labelled sheet of several ages instead, such as 5,20,40,60,80; the original comes first.")
@click.option("--sweep", metavar="FROM:TO:SECONDS", help="The age goes back and forth, such as 5:80:6s: six seconds each way.")
@click.option("--strength", type=Number(0, 100), metavar="PERCENT", default=100.0, help="How much of the change is shown. Default: 100.")
@click.option("--mirror", is_flag=True, help="Mirror the window; what is saved or sent is never mirrored.")
@click.option(
    "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="auto takes the best that works and says which."
)
@click.option("--detector", type=Path, help="A YuNet ONNX in place of the bundled face finder and aligner.")
@click.option(
    "--threads",
    type=click.IntRange(0, MOST_THREADS),
    default=0,
    help="Processor threads of the generator. Default: all cores, for a camera all but one.",
)
@click.option("--max-frames", type=click.IntRange(min=1), help="Stop after so many frames.")
@click.option("--stats", type=Path, help="Write the times of all stages to this JSON file.")
@click.option("--compare", is_flag=True, help="Show before and after side by side.")
@click.option("--save-to", type=Path, default=Path(), help="Folder for what the keys r and p save. Default: this one.")
@click.option("--list-cameras", is_flag=True, is_eager=True, expose_value=False, callback=_list_cameras, help="List the cameras and end.")
def main(
    model: Path | None,
    source: str,
    size: tuple[int, int] | None,
    sinks: tuple[str, ...],
    age: str | None,
    ages: str | None,
    sweep: str | None,
    strength: float,
    mirror: bool,
    device: str,
    detector: Path | None,
    threads: int,
    max_frames: int | None,
    stats: Path | None,
    compare: bool,
    save_to: Path,
) -> None:
    """Changes the age of the faces in a camera's picture, a clip, or photos.

    In the window, ? shows the keys and q ends it; Ctrl-C ends it too and keeps what has been written.
    """
    _check_options(sinks, age, ages, sweep, compare, mirror)
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import ExitStack

    from ..ages import parse_age
    from .sweep import parse_sweep

    swept = None if sweep is None else parse_sweep(sweep)
    years = DEFAULT_AGE if age is None else parse_age(age)
    columns = [parse_age(part) for part in ages.split(",")] if ages is not None else []
    _import_opencv()
    from .live import interrupts
    from .sources import is_live, open_source

    with ThreadPoolExecutor(1) as opening, ExitStack() as stack:
        loading = opening.submit(_open_backend, model, device, threads, is_live(source))  # a camera takes as long to start
        origin = open_source(source, size, lambda text: click.echo(text, err=True))
        stack.callback(origin.close)
        for sink in sinks:
            _check_target(source, origin, sink, max_frames, stats)
        stop = stack.enter_context(interrupts())
        outputs = {sink: _open_output(sink, source, origin, stack) for sink in sinks if sink != "window"}
        if "window" in sinks:
            _check_window(save_to)
        backend, says = loading.result()
        face_filter = _open_filter(backend, years, detector)
        face_filter.strength = strength / 100
        face_filter.ager.failed = lambda text: click.echo(text, err=True)  # a session goes on where one frame cannot be aged
        controls = _open_controls(face_filter, _view(face_filter, columns, compare), swept, mirror, origin)
        controls.interrupted = stop.is_set
        if "window" in sinks:
            outputs["window"] = stack.enter_context(_window(controls, origin, save_to))
        output = _all(outputs)
        click.echo(says, err=True)
        frames, seconds = _play(origin, face_filter, controls, output, max_frames, stop)
    _report(face_filter, frames, seconds, device=backend.device, backend=type(backend).__name__, stats=stats)
    _say(origin, output, face_filter, frames)
    if stop.is_set():
        kept = [sink for sink in sinks if sink not in ("window", "null") and not sink.startswith(("virtual", "http:"))]
        click.echo(f"interrupted: {frames} frames" + (f" are kept in {', '.join(kept)}" if kept else ""), err=True)
        raise SystemExit(130)


def _check_options(sinks: tuple[str, ...], age: str | None, ages: str | None, sweep: str | None, compare: bool, mirror: bool) -> None:
    """UsageError for options that say different things."""
    if ages is not None and (compare or age is not None or sweep is not None):
        raise click.UsageError("--ages shows the original beside every age: give neither --age nor --sweep nor --compare with it")
    if sweep is not None and age is not None:
        raise click.UsageError("--sweep changes the age all the time: give no --age with it")
    if mirror and "window" not in sinks:
        raise click.UsageError("--mirror is the window's: add --sink window")
    if len(set(sinks)) < len(sinks):
        raise click.UsageError("the same --sink is given twice")


def _open_output(sink: str, source: str, origin: Source, stack: ExitStack) -> Sink:
    """A sink other than the window, entered; says where it is to be found."""
    from .sinks import open_sink
    from .sinks.virtual import VirtualCamera
    from .sinks.web import Web
    from .sources import audio_file

    output = stack.enter_context(open_sink(sink, origin.fps, audio_from=audio_file(source, origin), size=origin.size))
    if isinstance(output, Web):
        click.echo(f"serving {output.url} (the picture alone: {output.url}stream)", err=True)
    if isinstance(output, VirtualCamera):
        click.echo(f"virtual camera: {output.device}", err=True)
    return output


def _check_window(save_to: Path) -> None:
    """Refuses the window before anything slow is done."""
    from .sinks.window import check_display

    check_display()
    if not save_to.is_dir():
        raise ReagingError(f"there is no folder {save_to}", "an existing folder", "create it, or choose another --save-to")


def _open_controls(face_filter: FaceFilter, view: View, sweep: Sweep | None, mirror: bool, origin: Source) -> Controls:
    from .controls import Controls

    controls = Controls(face_filter, view, sweep, mirror)
    controls.notice = lambda: (origin.note if origin.live else "") or face_filter.ager.note
    return controls


def _window(controls: Controls, origin: Source, save_to: Path) -> Sink:
    from .sinks.keep import Keep
    from .sinks.window import Window

    return Window(controls, Keep(controls, save_to, origin.fps), paced=not origin.live, held=origin.still)


def _all(outputs: dict[str, Sink]) -> Sink:
    """One sink for all that are open; the window's comes first, since somebody waits for it."""
    from .sinks.several import Several

    ordered = sorted(outputs, key=lambda name: name != "window")
    return outputs[ordered[0]] if len(ordered) == 1 else Several([outputs[name] for name in ordered])


def _say(origin: Source, output: Sink, face_filter: FaceFilter, frames: int) -> None:
    """What the user should know of a run that came to its end; ReagingError where pictures were left out."""
    for note in ("" if origin.live else origin.note, output.note):  # a camera has said its own already
        if note:
            click.echo(note, err=True)
    if not face_filter.faces_seen:
        click.echo(f"no face was found in {frames} frames; they are unchanged", err=True)
    if face_filter.ager.failures and not origin.live:
        what = f"the model failed {face_filter.ager.failures} times in {frames} frames"
        raise ReagingError(what, "a model that runs on every face", "see the line above; those faces are written as they were")
    if not origin.live and origin.note:
        what, expected = ("picture", "pictures that can be read") if origin.still else ("frame", "a whole clip")
        raise ReagingError(f"not every {what} was done", expected, "see the line above; the others are written")


def _import_opencv() -> None:
    """ReagingError where OpenCV does not import: on servers it often lacks libGL."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        remedy = "apt-get install libgl1 libglib2.0-0" if "lib" in str(error) else "pip install opencv-python"
        raise ReagingError(f"OpenCV cannot be imported ({error})", "opencv-python and the libraries that it needs", remedy) from None


def _check_target(source: str, origin: Source, sink: str, max_frames: int | None, stats: Path | None) -> None:
    """Refuses to write over the source, to write many frames into one picture, and statistics where they cannot be written."""
    from .sinks.base import check_place
    from .sinks.picture import SUFFIXES
    from .sources import clip_path

    if stats:
        check_place(stats)
    target = Path(sink)
    if not origin.live and target.exists():
        path = clip_path(source)
        places = [path, path.parent] if origin.still and path.is_file() and target.is_dir() else [path]
        if any(place.samefile(target) for place in places):
            raise ReagingError(f"{sink} would be written over the source", "another place for the output", "choose another --sink")
    if target.suffix.lower() in SUFFIXES and not target.is_dir() and origin.total != 1 and max_frames != 1:
        raise ReagingError(f"{sink} takes one picture", "a source with one frame", "add --max-frames 1, or write a .mp4 or to a folder")


def _open_backend(model: Path | None, device: str, threads: int, live: bool) -> tuple[Backend, str]:
    from .backends import choose_backend
    from .bundled import generator_path
    from .filter import spare_core

    return choose_backend(generator_path(model), device, threads or (spare_core() if live else 0))


def _open_filter(backend: Backend, age: float, detector: Path | None) -> FaceFilter:
    from .filter import filter_with

    return filter_with(backend, age, detector=detector, says=lambda line: click.echo(line, err=True))


def _view(face_filter: FaceFilter, ages: list[float], compare: bool) -> View:
    from .sheet import ages_view, compare_view

    if ages:
        return ages_view(face_filter, ages)
    return compare_view(face_filter) if compare else face_filter


def _play(origin: Source, face_filter: FaceFilter, view: View, output: Any, max_frames: int | None, stop: Any) -> tuple[int, float]:
    """Runs the loop under a progress bar, where there is a terminal and an end; frames and seconds."""
    import sys
    import time

    from .live import play

    start = time.perf_counter()
    limits = [n for n in (origin.total, max_frames) if n]
    if not limits or not sys.stderr.isatty():
        frames = play(origin, face_filter, view, output, max_frames, stop)
    else:
        with click.progressbar(length=min(limits), label="frames", show_pos=True, file=sys.stderr) as bar:
            frames = play(origin, face_filter, view, output, max_frames, stop, lambda: bar.update(1))
    return frames, time.perf_counter() - start


def _report(face_filter: FaceFilter, frames: int, seconds: float, *, device: str, backend: str, stats: Path | None) -> None:
    import json

    from ..files import write_text
    from .stats import table

    summary, fps = face_filter.stages.summary(), frames / seconds
    click.echo(table(summary, frames, face_filter.faces_seen, fps))
    if stats:
        facts = {"stages": summary, "frames": frames, "faces": face_filter.faces_seen, "device": device, "backend": backend.lower()}
        write_text(stats, json.dumps(facts | {"fps": round(fps, 2)}, indent=1))
