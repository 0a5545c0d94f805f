"""The scores as files: report.json, report.md, a sheet of faces x ages, and a plot where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..files import whole_file, write_text
from ..runtime.sinks.picture import write_picture
from .judges import Crops
from .quality import PSNR_CAP, Answers, Faces
from .quality_clip import OnClip
from .quality_cost import THREADS, Cost
from .quality_scores import NEAR, REAL_TARGETS, Scores
from .report import fingerprint, markdown_table, write_json

TILE = 160  # pixels of one face in the sheet
HEAD = 22  # pixels above each face for its caption


@dataclass(frozen=True)
class Report:
    """Everything that is written: the scores, and the pictures and answers behind them."""

    scores: Scores
    found: Answers
    faces: Faces
    aged: list[Crops]  # [target][N, S, S, 3] RGB
    clips: tuple[OnClip, ...] = ()
    cost: Cost | None = None  # of an ONNX file; none of a checkpoint


def write_quality(report: Report, out: str | Path, rows: int = 10) -> list[Path]:
    """Writes the report into the folder ``out`` (made where missing) and returns the files; raises ReagingError where it cannot."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReagingError(
            f"cannot make the folder {folder} ({error.strerror})", "a folder to write into", "choose another --out"
        ) from None
    content = {
        "machine": fingerprint(),
        "scores": report.scores.to_dict(),
        "clips": [asdict(clip) for clip in report.clips],
        "cost": None if report.cost is None else asdict(report.cost),
        "estimates": report.found.estimates.round(2).tolist(),  # [judge][face][target]
        "identity": report.found.identity.round(4).tolist(),  # [face][target]
        "names": report.faces.names,
    }
    written = [folder / "report.json", folder / "report.md", folder / "sheet.png"]
    write_json(written[0], content)
    write_text(written[1], quality_markdown(report) + "\n")
    write_picture(written[2], quality_sheet(report, rows)[:, :, ::-1])
    plot = folder / "plot.png"
    if _plot(report, plot):
        written.append(plot)
    return written


def quality_markdown(report: Report) -> str:
    """The scores with their controls, as Markdown."""
    scores = report.scores
    ages = "" if scores.source_ages is None else f" aged {scores.source_ages[0]:g} to {scores.source_ages[1]:g}"
    judges = "; ".join(
        f"{name} (its own error on all unedited faces of the split: {_years(error)})"
        for name, error in zip(scores.age_judges, scores.judge_errors, strict=True)
    )
    text = (
        f"{scores.faces} faces{ages} of {', '.join(scores.data) or 'the data'} (split {scores.split or 'not named'})."
        f" Ages by {judges}; identity by {scores.identity_judge}."
    )
    parts = [text, _summary(scores), _targets_table(scores), _gaps_table(scores)]
    parts += [_groups_table(kind, scores) for kind in scores.groups]
    if report.clips:
        head = ["clip", "target", "frames", "faces", "estimate", "its deviation", "of the input", "flicker"]
        rows = [
            [c.clip, f"{c.target:g}", str(c.frames), str(c.faces)]
            + [f"{v:.1f}" for v in (c.estimate, c.deviation, c.input_deviation)]
            + [f"{c.flicker:.2f}"]
            for c in report.clips
        ]
        parts.append(markdown_table(head, rows))
    if report.cost:
        parts.append(_cost_line(report.cost))
    return "\n\n".join(parts)


def _summary(scores: Scores) -> str:
    span = f"{scores.by_target[0].target:g} → {scores.by_target[-1].target:g}"
    edits = scores.edits or (None,) * len(scores.errors)
    rows = []
    for j, judge in enumerate(scores.age_judges):
        real, control = scores.errors_real[j], scores.control_errors_real[j]
        low, high = REAL_TARGETS
        rows.append([f"age error against real faces, targets {low:g} to {high:g} ({judge}, years)", _number(real), _number(control), "—"])
        rows.append(
            [
                f"raw age error, all targets ({judge}, years)",
                f"{scores.errors[j]:.1f}",
                f"{scores.control_errors[j]:.1f}",
                _number(edits[j]),
            ]
        )
    perceptual = "not asked" if scores.own_perceptual is None else f"{scores.own_perceptual:.3f}"
    rows += [
        ["order of target and estimate (Spearman, per face)", f"{scores.order:.3f}", "0", "—"],
        ["neighboring targets in the right order", f"{100 * scores.neighbors:.1f} %", "0 %", "—"],
        [f"estimated age rises, target {span} (years)", f"{scores.rise:.1f}", "0", "—"],
        [f"identity, gap up to {NEAR:g} years (cosine)", _number(scores.identity_near, 3), "1", "—"],
        ["identity, any gap (cosine)", f"{scores.identity:.3f}", "1", "—"],
        [f"verified at 1 % false matches (cosine over {scores.threshold:.2f})", f"{100 * scores.verified:.1f} %", "100 %", "—"],
        ["landmarks moved (eye distances)", f"{scores.landmarks:.3f}", "0", "—"],
        ["own age: PSNR (dB)", f"{scores.own_psnr:.1f}", f"{PSNR_CAP:g} (the cap)", "—"],
        ["own age: perceptual distance", perceptual, "0", "—"],
        ["own age: identity (cosine)", f"{scores.own_identity:.3f}", "1", "—"],
        ["pixels changed outside the mask", f"{100 * scores.outside_changed:.4f} %", "0 %", "—"],
        ["PSNR in the band round the change (dB)", f"{scores.band_psnr:.1f}", f"{PSNR_CAP:g} (the cap)", "—"],
    ]
    return markdown_table(["", scores.model or "model", "returning the input", "the paired data itself"], rows)


def _targets_table(scores: Scores) -> str:
    head = ["target", "estimate", "real faces", "error", "(input)", "against real", "(input)"]
    if len(scores.age_judges) > 1:
        head += [f"estimate, {scores.age_judges[1]}", "against real"]
    head += ["identity", "its 10 %", "verified", "landmarks", "change", "mask", "band dB"]
    rows = []
    for r in scores.by_target:
        a = r.ages[0]
        row = [f"{r.target:g}", f"{a.estimate:.1f}", _number(a.real), f"{a.error:.1f}", f"{a.control_error:.1f}"]
        row += [_number(a.error_real), _number(a.control_error_real)]
        if len(r.ages) > 1:
            row += [f"{r.ages[1].estimate:.1f}", _number(r.ages[1].error_real)]
        row += [f"{r.identity:.3f}", f"{r.identity_low:.3f}", f"{100 * r.verified:.0f} %", f"{r.landmarks:.3f}"]
        rows.append([*row, f"{r.change:.1f}", f"{r.mask:.3f}", f"{r.band_psnr:.1f}"])
    return markdown_table(head, rows)


def _gaps_table(scores: Scores) -> str:
    rows = [
        [f"{g.youngest} to {g.oldest - 1}", str(g.pairs), _number(g.identity, 3), _number(g.same_people, 3)]
        for g in scores.by_gap
        if g.pairs or g.same_people is not None
    ]
    return markdown_table(["years between input and target", "pairs", "identity", "same people in the paired data"], rows)


def _groups_table(kind: str, scores: Scores) -> str:
    rows = [
        [g.name, str(g.faces), _number(g.error_real), f"{g.error:.1f}", f"{g.identity:.3f}", f"{g.order:.3f}"] for g in scores.groups[kind]
    ]
    return markdown_table([kind, "faces", "against real", "raw error", "identity", "order"], rows)


def _cost_line(cost: Cost) -> str:
    times = ", ".join(f"{ms:.1f} ms ({n} thread{'s' * (n > 1)})" for n, ms in zip(THREADS, cost.milliseconds, strict=True))
    return (
        f"{cost.parameters / 1e6:.2f} M parameters, {cost.macs / 1e9:.2f} GMAC, {cost.bytes / 1e6:.1f} MB; ONNX Runtime, median: {times}."
    )


def _number(value: float | None, digits: int = 1) -> str:
    return "—" if value is None else f"{value:.{digits}f}"


def _years(value: float | None) -> str:
    return "not known, no labels" if value is None else f"{value:.1f} years"


def quality_sheet(report: Report, rows: int = 10) -> NDArray[np.uint8]:
    """RGB [H, W, 3]: one row per face (evenly spread over the estimated ages), the input and then every target."""
    own, estimates = report.found.input_estimates[0], report.found.estimates[0]
    by_age = np.argsort(own)
    chosen = by_age[np.linspace(0, len(by_age) - 1, min(rows, len(by_age))).round().astype(int)]
    lines = []
    for face in chosen:
        tiles = [_tile(report.faces.crops[face], f"input ({own[face]:.0f})")]
        for column, target in enumerate(report.found.targets):
            tiles.append(_tile(report.aged[column][face], f"{target:g} ({estimates[face, column]:.0f})"))
        lines.append(np.concatenate(tiles, 1))
    return np.concatenate(lines, 0)


def _tile(crop: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    tile = np.full((TILE + HEAD, TILE, 3), 255, np.uint8)
    way = cv2.INTER_AREA if crop.shape[0] > TILE else cv2.INTER_CUBIC
    tile[HEAD:] = cv2.resize(crop, (TILE, TILE), interpolation=way)
    cv2.putText(tile, caption, (4, HEAD - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def _plot(report: Report, path: Path) -> bool:
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    scores, estimates = report.scores, report.found.estimates[0]
    targets: Sequence[float] = [r.target for r in scores.by_target]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2))
    real = [(r.target, r.ages[0].real) for r in scores.by_target if r.ages[0].real is not None]
    if real:
        left.plot(*zip(*real, strict=True), color="0.6", label="real faces of that age")
    left.plot(
        targets, np.full(len(targets), float(np.median(report.found.input_estimates[0]))), "--", color="0.5", label="returning the input"
    )
    left.plot(targets, np.median(estimates, 0), "o-", label="median")
    left.fill_between(targets, *np.percentile(estimates, [25, 75], axis=0), alpha=0.25, label="middle half of the faces")
    left.set(xlabel="target (years)", ylabel=f"estimate by {scores.age_judges[0]} (years)", title=scores.model)
    left.legend()
    right.plot(targets, [r.identity for r in scores.by_target], "o-", label="mean")
    right.plot(targets, [r.identity_low for r in scores.by_target], "--", label="10th percentile")
    right.axhline(scores.threshold, color="0.6", linestyle=":", label="1 % of different people")
    right.set(xlabel="target (years)", ylabel=f"cosine to the input by {scores.identity_judge}", ylim=(0, 1.02))
    right.legend()
    figure.tight_layout()
    with whole_file(path) as part:
        figure.savefig(part, dpi=110, format="png")
    pyplot.close(figure)
    return True
