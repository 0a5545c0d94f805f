"""reaging-bench: measures; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..command import MOST_THREADS, Group, Number
from ..errors import ReagingError
from .options import PATH, names, need, outputs, parse_sizes, positive, progress

if TYPE_CHECKING:
    from .latency import Case


@click.group(cls=Group)
def main() -> None:
    """Measures models, the live pipeline and the faces' finder; prints tables, writes JSON."""


@main.command()
@click.argument("models", nargs=-1, type=PATH)
@click.option(
    "--backend",
    default="ort",
    show_default=True,
    help="With commas: ort, openvino (ONNX files, checkpoints), torch (checkpoints), tensorrt.",
)
@click.option("--threads", default="1,2", show_default=True)
@click.option("--batch", default="1", show_default=True, help="Faces at once.")
@click.option("--size", help="Pixels; checkpoints only, an ONNX file has one size.  [default: the model's own]")
@click.option("--rounds", type=click.IntRange(1), default=12, show_default=True, help="Turns; each runs every case up to five times.")
@outputs(charts=True)
def latency(
    models: tuple[Path, ...],
    backend: str,
    threads: str,
    batch: str,
    size: str | None,
    rounds: int,
    json_path: Path | None,
    markdown_path: Path | None,
    charts: Path | None,
) -> None:
    """Time per inference of MODELS (files, or the bundled mobile, mobile-fp16, mobile-int8; default: mobile), and its share of what this
    machine can do."""
    from tempfile import TemporaryDirectory

    need("bench", "onnx", "onnxruntime", *(["matplotlib"] if charts else []))
    from ..runtime.bundled import generator_path
    from .latency import make_cases
    from .latency_tables import latency_markdown
    from .report import check_places, write_report

    check_places(json_path, markdown_path, charts)
    numbers = positive("--threads", threads), positive("--batch", batch)
    with TemporaryDirectory() as folder:
        sizes = positive("--size", size) if size else None
        paths = [generator_path(model) for model in models or (None,)]
        cases = make_cases(paths, names(backend), *numbers, sizes, Path(folder))
        report = _measured("latency", cases, rounds)
    write_report(report, latency_markdown(report), json_path, markdown_path, charts)


@main.command()
@click.option("--peer", help="With commas.  [default: all]")
@click.option("--backend", default="ort", show_default=True, help="With commas: ort, openvino.")
@click.option("--threads", default="2", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns; a slow network runs once in each.")
@outputs(charts=True)
def peers(
    peer: str | None,
    backend: str,
    threads: str,
    rounds: int,
    json_path: Path | None,
    markdown_path: Path | None,
    charts: Path | None,
) -> None:
    """The generators people would use instead, beside the bundled one.

    FRAN at 512 and 1024, HRFAE, LATS, PFA-GAN, Fast-AgingGAN, RAGAN's trunk and pix2pix-3, rebuilt from their published layer tables with
    random weights.  Each is timed only once its parameters and multiply-accumulates are the published ones.
    """
    from tempfile import TemporaryDirectory

    need("bench,export", "onnx", "onnxruntime", "torch", "onnxscript", *(["matplotlib"] if charts else []))
    from ..runtime.bundled import GENERATOR, bundled
    from .latency import make_cases
    from .latency_tables import peers_markdown
    from .report import check_places, write_report

    check_places(json_path, markdown_path, charts)
    backends = names(backend)
    if "torch" in backends or "tensorrt" in backends:
        raise ReagingError(f"peers do not run in {backend}", "ort, openvino", "correct --backend")
    numbers = positive("--threads", threads)
    with TemporaryDirectory() as folder:
        files = _write_peers(peer, Path(folder))
        cases = make_cases([bundled(GENERATOR), *files], backends, numbers, [1], None, Path(folder))
        report = _measured("peers", cases, rounds)
    write_report(report, peers_markdown(report, GENERATOR), json_path, markdown_path, charts)


def _write_peers(chosen: str | None, folder: Path) -> list[Path]:
    from .peers import choose_peers, write_peer

    files, wanted = [], choose_peers(chosen)
    with progress(len(wanted), "building the peers") as step:
        for name in wanted:
            files.append(write_peer(name, folder))
            step()
    return files


def _measured(kind: str, cases: list[Case], rounds: int) -> dict[str, Any]:
    from .latency import latency_report, measure_latency
    from .report import fingerprint, plural

    machine = fingerprint()
    with progress(len(cases) + rounds, f"{plural(len(cases), 'case')}, {plural(rounds, 'round')}") as step:
        measured, ceilings = measure_latency(cases, rounds, step)
    return latency_report(measured, ceilings, machine, kind)


@main.command()
@click.argument("model", type=PATH)
@click.option("--data", multiple=True, required=True, type=PATH, help="Tar or folder of aligned faces with labels.csv; may be repeated.")
@click.option("--age-model", required=True, type=PATH, help="ONNX file that estimates ages; not one that the model was trained with.")
@click.option("--second-age-model", type=PATH, help="Another one, whose verdict is reported beside the first's.")
@click.option(
    "--id-model", required=True, type=PATH, help="ONNX file that gives identity vectors; not one that the model was trained with."
)
@click.option("--perceptual-model", type=PATH, help="ONNX file of feature maps, for the distance when asked for one's own age.")
@click.option("--pairs", multiple=True, type=PATH, help="Data with people at several ages: what the paired data itself scores.")
@click.option("--targets", help="Target ages.  [default: 5,15,25,35,45,55,65,75]")
@click.option("--source-ages", metavar="LOW-HIGH", help="Age only faces with labels in this range; the judge is checked on all.")
@click.option("--split", default="test", show_default=True, help="Rows of labels.csv to take.")
@click.option("--limit", type=click.IntRange(2), help="Take only so many faces, spread over the data.")
@click.option("--clip", "clips", multiple=True, help="A clip to measure steadiness on; may be repeated.")
@click.option("--clip-ages", default="75", show_default=True, help="Target ages on the clips.")
@click.option("--clip-frames", type=click.IntRange(2), default=90, show_default=True, help="Frames of each clip.")
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True)
@click.option("--rows", type=click.IntRange(1), default=10, show_default=True, help="Faces on the sheet.")
@click.option("--out", required=True, type=PATH, help="Folder for report.json, report.md, sheet.png, plot.png.")
def quality(
    model: Path,
    data: tuple[Path, ...],
    age_model: Path,
    second_age_model: Path | None,
    id_model: Path,
    perceptual_model: Path | None,
    pairs: tuple[Path, ...],
    targets: str | None,
    source_ages: str | None,
    split: str,
    limit: int | None,
    clips: tuple[str, ...],
    clip_ages: str,
    clip_frames: int,
    threads: int,
    rows: int,
    out: Path,
) -> None:
    """Age reached, identity kept, nothing else touched: MODEL (ONNX file or checkpoint) on faces that never trained."""
    from ..ages import parse_age
    from .judges import Judge, PerceptualJudge
    from .models import is_checkpoint, open_model
    from .quality import TARGETS, Judges, answers, held_out_faces
    from .quality_clip import judge_clip
    from .quality_cost import model_cost
    from .quality_report import Report, quality_markdown, write_quality
    from .quality_scores import judge_edits, summarize

    ages = [parse_age(t) for t in (targets.split(",") if targets else TARGETS)]
    on_clips = [(clip, parse_age(a)) for clip in clips for a in clip_ages.split(",")]
    span = _age_range(source_ages) if source_ages else None
    backend = open_model(model, "torch" if is_checkpoint(model) else "ort", threads)
    age_judges = tuple(Judge(path, threads) for path in (age_model, second_age_model) if path)
    judges = Judges(age_judges, Judge(id_model, threads), PerceptualJudge(perceptual_model, threads) if perceptual_model else None)
    every = held_out_faces(data, split)
    faces = (every.between(*span) if span else every).spread(limit)
    edits = judge_edits(held_out_faces(pairs, split, edited=True), judges) if pairs else None
    with click.progressbar(length=len(ages) + 1, label=f"{len(faces.names)} faces x {len(ages)} targets") as bar:
        found, aged = answers(backend.run, backend.card.size[0], faces, ages, judges, lambda: bar.update(1))
    scores = summarize(found, faces, every, judges, model.name, [d.name for d in data], split, span, edits)
    with click.progressbar(length=len(on_clips) * clip_frames, label=f"{len(clips)} clips") as bar:
        steady = tuple(judge_clip(backend, clip, age, age_judges[0], clip_frames, lambda: bar.update(1)) for clip, age in on_clips)
    report = Report(scores, found, faces, aged, steady, None if is_checkpoint(model) else model_cost(model))
    written = write_quality(report, out, rows)
    click.echo(quality_markdown(report))
    click.echo(f"wrote {', '.join(str(path) for path in written)}")


def _age_range(text: str) -> tuple[float, float]:
    from ..ages import parse_age

    low, _, high = text.partition("-")
    ages = parse_age(low), parse_age(high)
    if ages[0] > ages[1]:
        raise ReagingError(f"--source-ages {text!r} is empty", "the lower age first, such as 20-60", "turn it round")
    return ages


@main.command()
@click.argument("clips", nargs=-1)
@click.option("--faces", "counts", default="1,2,4", show_default=True, help="Without CLIPS: faces to a frame, at the first size.")
@click.option(
    "--size", default="640x480,1280x720,1920x1080", show_default=True, help="Without CLIPS: frames, with the first number of faces."
)
@click.option("--model", type=PATH, help="Generator.  [default: the bundled one]")
@click.option("--age", default="70", show_default=True, help="Target age in years.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, tensorrt or openvino.")
@click.option("--threads", type=click.IntRange(0, MOST_THREADS), default=0, show_default=True, help="0: all cores.")
@click.option("--detector", type=PATH, help="A YuNet ONNX in place of the bundled finder and aligner.")
@click.option("--max-frames", type=click.IntRange(1), default=60, show_default=True, help="Of each clip.")
@outputs(charts=True)
def stages(
    clips: tuple[str, ...],
    counts: str,
    size: str,
    model: Path | None,
    age: str,
    device: str,
    threads: int,
    detector: Path | None,
    max_frames: int,
    json_path: Path | None,
    markdown_path: Path | None,
    charts: Path | None,
) -> None:
    """The pipeline stage by stage: capture, find, align, infer, paste, sink.

    On CLIPS as they are, or, without any, on the bundled clip laid out with more and more faces and pixels: then also how each stage grows.
    """
    from tempfile import TemporaryDirectory

    from ..ages import parse_age
    from ..runtime.backends import open_backend
    from ..runtime.bundled import generator_path
    from .report import check_places, fingerprint, plural, write_report
    from .scenes import Scene, make_scenes
    from .stages import TURN, WARM_UP, growth, measure_stages, stages_markdown

    need("bench", *(["matplotlib"] if charts else []))
    check_places(json_path, markdown_path, charts)
    years, people, sizes = parse_age(age), positive("--faces", counts), parse_sizes(size)
    backend, machine = open_backend(generator_path(model), device, threads), fingerprint()
    with TemporaryDirectory() as name:
        folder = Path(name)
        scenes = [Scene(clip, clip) for clip in dict.fromkeys(clips)]
        scenes = scenes or make_scenes("demo", people, sizes, max_frames + WARM_UP, folder)
        with progress(-(-max_frames // TURN), f"{plural(len(scenes), 'clip')}, {plural(max_frames, 'frame')} of each") as step:
            cases = measure_stages(scenes, backend, years, threads, detector, max_frames, folder, step)
    run = {"model": generator_path(model).name, "device": backend.device, "backend": type(backend).__name__, "threads": threads}
    report = {"kind": "stages", "machine": machine, **run, "cases": cases, "growth": growth(cases)}
    write_report(report, stages_markdown(report), json_path, markdown_path, charts)


@main.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--term", "terms", multiple=True, help="A term of the log; may be repeated.  [default: L1 over that of the input, and age]")
@click.option("--window", type=Number(1, 1e6), default=100.0, show_default=True, help="Steps that are averaged.")
@click.option("--out", type=PATH, required=True, help="PNG to write.")
def curves(runs: tuple[str, ...], terms: tuple[str, ...], window: float, out: Path) -> None:
    """Draws the curves of training RUNS that followed one another: folders, or parts of them as RUN:FROM:TO (steps)."""
    from .curves import RATIO, draw_curves, read_stage
    from .report import check_places

    need("bench", "matplotlib")
    if out.suffix.lower() != ".png":
        raise ReagingError(f"{out} is no name for a PNG", "a name that ends in .png", "rename it")
    check_places(out)
    stages = [read_stage(run, number) for number, run in enumerate(runs, 1)]
    draw_curves(stages, list(terms) or [RATIO, "age"], window, out)
    click.echo(f"wrote {out}")


@main.command()
@click.option("--yunet", type=PATH, required=True, help="YuNet's ONNX file: what the finder and the aligner are held against.")
@click.option("--clips", type=PATH, multiple=True, help="Clip with faces; may be repeated.")
@click.option("--photos", type=PATH, multiple=True, help="Photo or folder of photos; may be repeated.")
@click.option("--out", type=PATH, required=True, help="Folder for faces.json, faces.md and pictures of what was missed.")
def faces(yunet: Path, clips: tuple[Path, ...], photos: tuple[Path, ...], out: Path) -> None:
    """The bundled finder and aligner against YuNet on real frames."""
    from .faces import measure_faces

    measure_faces(yunet, list(clips), list(photos), out)
    click.echo((out / "faces.md").read_text("utf-8"))


@main.command()
@click.argument("before", type=PATH)
@click.argument("after", type=PATH)
@outputs(charts=False)
@click.pass_context
def compare(ctx: click.Context, before: Path, after: Path, json_path: Path | None, markdown_path: Path | None) -> None:
    """Are the times of AFTER worse than those of BEFORE by more than the noise of both?  Exits with 1 if one is.

    Both are written by latency, peers or stages with --json.
    """
    from .compare import compare_markdown, compare_reports, comparison_dict
    from .report import check_places, read_json, write_report

    check_places(json_path, markdown_path)
    comparison = compare_reports(read_json(before), read_json(after))
    write_report(comparison_dict(comparison), compare_markdown(comparison), json_path, markdown_path)
    ctx.exit(1 if any(c.verdict == "slower" for c in comparison.changes) else 0)


@main.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--age-model", type=PATH, required=True, help="ONNX file that estimates ages; not one that the model was trained with.")
@click.option("--model", type=PATH, help="Generator.  [default: the bundled one]")
@click.option("--age", default="75", show_default=True, help="Target age in years.")
@click.option("--threads", type=click.IntRange(0, MOST_THREADS), default=0, show_default=True, help="0: all cores.")
@click.option("--max-frames", type=click.IntRange(10), default=150, show_default=True)
@click.option("--late", type=click.IntRange(1), default=3, show_default=True, help="Frames by which a slow generator is behind.")
@click.option("--slow", "slow_ms", type=Number(0), default=100.0, show_default=True, help="Milliseconds it is slower by.")
@click.option("--out", type=PATH, required=True, help="Folder for steadiness.json, steadiness.md and sheets.")
def steadiness(
    clips: tuple[str, ...],
    age_model: Path,
    model: Path | None,
    age: str,
    threads: int,
    max_frames: int,
    late: int,
    slow_ms: float,
    out: Path,
) -> None:
    """Flicker, the estimated age's unrest and lag on CLIPS, with and without what the filter does against them."""
    import sys

    from ..ages import parse_age
    from ..runtime.backends import open_backend
    from ..runtime.bundled import generator_path
    from .judges import Judge
    from .steadiness_report import MEASUREMENTS, write_steadiness

    backend, years, judge = open_backend(generator_path(model), "cpu", threads), parse_age(age), Judge(age_model, 1)
    with click.progressbar(length=len(clips) * MEASUREMENTS, label=f"{len(clips)} clips", file=sys.stderr) as bar:
        text = write_steadiness(clips, backend, judge, years, max_frames, late, slow_ms, out, lambda: bar.update(1))
    click.echo(text)


@main.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--max-frames", type=click.IntRange(10), default=150, show_default=True)
@click.option("--json", "json_path", type=PATH, help="Write all settings here.")
def smoothing(clips: tuple[str, ...], max_frames: int, json_path: Path | None) -> None:
    """Parameters of the landmarks' One-Euro filter on CLIPS: unrest at rest against lag in motion."""
    from .report import check_places, write_json
    from .smoothing import measure_smoothing, smoothing_dict, smoothing_markdown

    check_places(json_path)
    settings = measure_smoothing(clips, max_frames)
    click.echo(smoothing_markdown(settings))
    if json_path:
        write_json(json_path, smoothing_dict(settings))


@main.command()
@click.argument("clip", default="demo")
@click.option("--frames", type=click.IntRange(200), default=20_000, show_default=True, help="Of each sink.")
@click.option("--sink", "sinks", multiple=True, help="null, video, pictures, http, virtual, or several with +; repeatable.  [default: all]")
@click.option("--model", type=PATH, help="Generator.  [default: the bundled one]")
@click.option("--age", default="70", show_default=True, help="Target age in years.")
@click.option("--size", help="Scale the clip to WIDTHxHEIGHT.  [default: as it is]")
@click.option("--threads", type=click.IntRange(0, MOST_THREADS), default=1, show_default=True, help="Of the generator; 0: all cores.")
@click.option("--json", "json_path", type=PATH, help="Write the report here, with the machine it was measured on.")
@click.option("--plot", type=PATH, help="Write memory and frame times over the frames as a PNG.")
@click.pass_context
def soak(
    ctx: click.Context,
    clip: str,
    frames: int,
    sinks: tuple[str, ...],
    model: Path | None,
    age: str,
    size: str | None,
    threads: int,
    json_path: Path | None,
    plot: Path | None,
) -> None:
    """Long runs: CLIP over and over into each sink.  Exits with 1 where memory grows, frames get slower or something is left behind."""
    from ..ages import parse_age
    from ..runtime.backends import open_backend
    from ..runtime.bundled import generator_path
    from .report import check_places, fingerprint, write_json
    from .soak import SINKS, draw_soak, soak_dict, soak_markdown
    from .soak import soak as run

    need("bench", "psutil", *(["matplotlib"] if plot else []))
    check_places(json_path, plot)
    years, scaled, kinds, machine = parse_age(age), parse_sizes(size)[0] if size else None, sinks or SINKS, fingerprint()
    backend, runs = open_backend(generator_path(model), "cpu", threads), []
    with progress(frames * len(kinds), f"{frames} frames into {', '.join(kinds)}") as step:
        for kind in kinds:
            runs.append(run(clip, kind, backend, years, frames, scaled, step))
            if json_path:  # after each: a long run that is cut short has not been for nothing
                facts = {"model": generator_path(model).name, "clip": clip, "size": scaled, "threads": threads}
                write_json(json_path, {"kind": "soak", "machine": machine, **facts, "runs": soak_dict(runs)})
    click.echo(soak_markdown(runs))
    if plot:
        draw_soak(runs, plot)
    ctx.exit(1 if any(r.failed for r in runs) else 0)
