"""reaging-bench: measures; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..command import Group
from ..errors import ReagingError

PATH = click.Path(path_type=Path)


def parse_numbers(option: str, text: str) -> list[int]:
    """``1,2`` -> [1, 2]; raises ReagingError for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ReagingError(
            f"{option} {text!r} is not usable", "whole numbers with commas between", f"give for example {option} 1,2"
        ) from None


@click.group(cls=Group)
def main() -> None:
    """Measures models, the live pipeline and the faces' finder; prints tables, writes JSON."""


@main.command()
@click.argument("models", nargs=-1, type=PATH)
@click.option("--backend", default="ort", show_default=True, help="Comma-separated: ort, openvino (ONNX files), torch (checkpoints).")
@click.option("--threads", default="1,2", show_default=True)
@click.option("--batch", default="1", show_default=True, help="Faces at once.")
@click.option("--rounds", type=click.IntRange(1), default=12, show_default=True, help="Turns; each runs every case five times.")
@click.option("--json", "json_path", type=PATH, help="Write the report here.")
def latency(models: tuple[Path, ...], backend: str, threads: str, batch: str, rounds: int, json_path: Path | None) -> None:
    """Time per inference of MODELS (default: the bundled generator) on this machine's processor."""
    from ..runtime.bundled import GENERATOR, bundled
    from .latency import latency_dict, latency_markdown, make_cases, measure_latency
    from .report import fingerprint, fingerprint_line, write_json

    cases = make_cases(
        models or (bundled(GENERATOR),), backend.split(","), parse_numbers("--threads", threads), parse_numbers("--batch", batch)
    )
    machine = fingerprint()
    with click.progressbar(length=rounds, label=f"{len(cases)} cases") as bar:
        measured = measure_latency(cases, rounds, lambda done: bar.update(1))
    report: dict[str, Any] = {"kind": "latency", "machine": machine, "cases": [latency_dict(m) for m in measured]}
    click.echo(fingerprint_line(machine))
    click.echo(latency_markdown(report["cases"]))
    if json_path:
        write_json(json_path, report)


@main.command()
@click.argument("model", type=PATH)
@click.option("--data", multiple=True, required=True, type=PATH, help="Tar or folder of aligned faces with labels.csv; may be repeated.")
@click.option("--age-model", required=True, type=PATH, help="ONNX file that estimates ages; not one that the model was trained with.")
@click.option(
    "--id-model", required=True, type=PATH, help="ONNX file that gives identity vectors; not one that the model was trained with."
)
@click.option("--targets", help="Target ages.  [default: 8,20,30,40,50,60,70,80]")
@click.option("--split", default="test", show_default=True, help="Rows of labels.csv to take.")
@click.option("--limit", type=click.IntRange(2), help="Take only so many faces, spread over the data.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rows", type=click.IntRange(1), default=8, show_default=True, help="Faces on the sheet.")
@click.option("--out", required=True, type=PATH, help="Folder for report.json, report.md, sheet.png, plot.png.")
def quality(
    model: Path,
    data: tuple[Path, ...],
    age_model: Path,
    id_model: Path,
    targets: str | None,
    split: str,
    limit: int | None,
    threads: int,
    rows: int,
    out: Path,
) -> None:
    """Age reached and identity kept by MODEL (ONNX file or checkpoint) on faces that never trained."""
    from ..ages import parse_age
    from .judges import Judge
    from .models import is_checkpoint, open_model
    from .quality import TARGETS, About, held_out_faces, judge_model
    from .quality_report import quality_markdown, write_quality

    ages = [parse_age(t) for t in (targets.split(",") if targets else TARGETS)]
    backend = open_model(model, "torch" if is_checkpoint(model) else "ort", threads)
    judges = Judge(age_model, threads), Judge(id_model, threads)
    faces = held_out_faces(data, split, limit)
    about = About(model.name, tuple(d.name for d in data), split)
    with click.progressbar(length=len(ages), label=f"{len(faces.names)} faces x {len(ages)} targets") as bar:
        judged = judge_model(backend.run, backend.card.size[0], faces, ages, *judges, about, lambda: bar.update(1))
    written = write_quality(judged, faces, out, rows)
    click.echo(quality_markdown(judged.scores))
    click.echo(f"wrote {', '.join(str(path) for path in written)} ({judged.scores.seconds:.0f} s)")


@main.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--model", type=PATH, help="Generator.  [default: the bundled one]")
@click.option("--age", default="70", show_default=True, help="Target age in years.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, tensorrt or openvino.")
@click.option("--threads", type=click.IntRange(0), default=0, show_default=True, help="0: all cores.")
@click.option("--detector", type=PATH, help="A YuNet ONNX in place of the bundled finder and aligner.")
@click.option("--max-frames", type=click.IntRange(1), default=150, show_default=True)
@click.option("--json", "json_path", type=PATH, help="Write the report here.")
def stages(
    clips: tuple[str, ...],
    model: Path | None,
    age: str,
    device: str,
    threads: int,
    detector: Path | None,
    max_frames: int,
    json_path: Path | None,
) -> None:
    """The filter over CLIPS, stage by stage: decode, find, align, infer, paste."""
    from ..ages import parse_age
    from .report import fingerprint, fingerprint_line, write_json
    from .stages import measure_stages, stages_markdown

    machine = fingerprint()
    results = [measure_stages(clip, model, parse_age(age), device, threads, detector, max_frames) for clip in clips]
    click.echo(fingerprint_line(machine))
    for result in results:
        click.echo(stages_markdown(result) + "\n")
    if json_path:
        write_json(json_path, {"kind": "stages", "machine": machine, "clips": results})


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
@click.pass_context
def compare(ctx: click.Context, before: Path, after: Path) -> None:
    """Are the times of AFTER worse than those of BEFORE (both written by latency --json)?  Exits with 1 if one is."""
    from .compare import compare_markdown, compare_reports
    from .report import read_json

    first, second = read_json(before), read_json(after)
    changes = compare_reports(first, second)
    if first["machine"].get("cpu") != second["machine"].get("cpu"):
        click.echo(f"note: measured on two machines, {first['machine'].get('cpu')} and {second['machine'].get('cpu')}")
    click.echo(compare_markdown(changes))
    ctx.exit(1 if any(c.verdict == "slower" for c in changes) else 0)
