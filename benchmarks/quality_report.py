"""Scores as files: report.json, report.md, a sheet of faces x ages, and a plot where matplotlib is installed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..files import whole_file
from .quality import PSNR_CAP, Faces, Judged, Scores
from .report import fingerprint, markdown_table

TILE = 160  # pixels of one face in the sheet
HEAD = 22  # pixels above each face for its caption


def write_quality(judged: Judged, faces: Faces, out: str | Path, rows: int = 8) -> list[Path]:
    """Writes the report into the folder ``out`` (made where missing) and returns the files; raises ReagingError where it cannot."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReagingError(
            f"cannot make the folder {folder} ({error.strerror})", "a folder to write into", "choose another --out"
        ) from None
    machine = fingerprint()
    written = [folder / "report.json", folder / "report.md", folder / "sheet.png"]
    with whole_file(written[0]) as part:
        part.write_text(json.dumps({"machine": machine, "scores": judged.scores.to_dict()}, indent=1), "utf-8")
    with whole_file(written[1]) as part:
        part.write_text(quality_markdown(judged.scores) + "\n", "utf-8")
    with whole_file(written[2]) as part:
        cv2.imwrite(str(part), quality_sheet(judged, faces, rows)[:, :, ::-1])
    plot = folder / "plot.png"
    if _plot(judged, plot):
        written.append(plot)
    return written


def quality_markdown(scores: Scores) -> str:
    """The scores with their controls, as Markdown."""
    judge = "not known (no labels)" if scores.judge_error is None else f"{scores.judge_error:.1f} years"
    span = f"{scores.span[0]:g} → {scores.span[1]:g}"
    summary = markdown_table(
        ["", scores.model, "returning the input"],
        [
            [f"estimated age rises, target {span} (years)", f"{scores.rise:.1f}", "0"],
            ["order of target and estimate (Spearman, per face)", f"{scores.order:.2f}", "0"],
            ["distance of estimate from target (years)", f"{scores.error:.1f}", f"{scores.control_error:.1f}"],
            ["identity (cosine to the input)", f"{scores.identity:.3f}", "1"],
            ["asked for its own age (PSNR, dB)", f"{scores.own_age_psnr:.1f}", f"{PSNR_CAP:g} (the most counted)"],
            ["visibly changed outside the mask", f"{100 * scores.outside_changed:.3f} %", "0"],
        ],
    )
    head = ["target", "estimate", "distance", "(input)", "identity", "its 10 %", "mean change", "mask"]
    rows = [
        [
            f"{r.target:g}",
            *(f"{years:.1f}" for years in (r.estimate, r.error, r.control_error)),
            *(f"{share:.3f}" for share in (r.identity, r.identity_low)),
            f"{r.change:.1f}",
            f"{r.mask:.3f}",
        ]
        for r in scores.by_target
    ]
    data = ", ".join(scores.data)
    text = (
        f"{scores.faces} faces of {data or 'the data'} (split {scores.split or 'not named'}); ages by {scores.age_judge},"
        f" whose own error on these faces against their labels is {judge}; identity by {scores.identity_judge}."
    )
    return "\n\n".join([text, summary, markdown_table(head, rows)])


def quality_sheet(judged: Judged, faces: Faces, rows: int = 8) -> NDArray[np.uint8]:
    """RGB [H, W, 3]: one row per face (evenly spread over the estimated ages), the input and then every target."""
    count = min(rows, len(faces.names))
    by_age = np.argsort(judged.input_estimates)
    chosen = by_age[np.linspace(0, len(by_age) - 1, count).round().astype(int)]
    lines = []
    for face in chosen:
        tiles = [_tile(faces.crops[face], f"input ({judged.input_estimates[face]:.0f})")]
        for column, score in enumerate(judged.scores.by_target):
            tiles.append(_tile(judged.aged[column][face], f"{score.target:g} ({judged.scores.estimates[face][column]:.0f})"))
        lines.append(np.concatenate(tiles, 1))
    return np.concatenate(lines, 0)


def _tile(crop: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    tile = np.full((TILE + HEAD, TILE, 3), 255, np.uint8)
    way = cv2.INTER_AREA if crop.shape[0] > TILE else cv2.INTER_CUBIC
    tile[HEAD:] = cv2.resize(crop, (TILE, TILE), interpolation=way)
    cv2.putText(tile, caption, (4, HEAD - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def _plot(judged: Judged, path: Path) -> bool:
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    scores = judged.scores
    targets: Sequence[float] = [r.target for r in scores.by_target]
    estimates = np.asarray(scores.estimates)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2))
    left.plot(targets, targets, color="0.7", label="target reached")
    left.plot(targets, np.full(len(targets), float(np.median(judged.input_estimates))), "--", color="0.5", label="returning the input")
    left.plot(targets, np.median(estimates, 0), "o-", label="median")
    left.fill_between(targets, *np.percentile(estimates, [25, 75], axis=0), alpha=0.25, label="middle half of the faces")
    left.set(xlabel="target (years)", ylabel=f"estimate by {scores.age_judge} (years)", title=scores.model)
    left.legend()
    right.plot(targets, [r.identity for r in scores.by_target], "o-", label="mean")
    right.plot(targets, [r.identity_low for r in scores.by_target], "--", label="10th percentile")
    right.set(xlabel="target (years)", ylabel=f"cosine to the input by {scores.identity_judge}", ylim=(0, 1.02))
    right.legend()
    figure.tight_layout()
    with whole_file(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)
    return True
