"""Scores on toy judges, whose verdicts can be told beforehand; and the judges' crop against a plain resize."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from reaging.benchmarks.cli import main
from reaging.benchmarks.judges import Judge, estimate_ages
from reaging.benchmarks.models import open_model
from reaging.benchmarks.quality import PSNR_CAP, Faces, Judged, held_out_faces, judge_model, spearman
from reaging.errors import ReagingError

TARGETS = [20.0, 45.0, 70.0]


def judged(model: Path, folder: Path, judges: tuple[Judge, Judge]) -> tuple[Judged, Faces]:
    faces = held_out_faces([folder])
    backend = open_model(model)
    return judge_model(backend.run, backend.card.size[0], faces, TARGETS, *judges), faces


def test_only_unedited_faces_of_the_split_are_judged(face_folder: Path) -> None:
    assert held_out_faces([face_folder]).names == ("0_0.png", "1_0.png", "2_0.png", "3_0.png")
    assert held_out_faces([face_folder], limit=2).names == ("0_0.png", "3_0.png")
    assert held_out_faces([face_folder], split="train").names == ("4_0.png", "5_0.png")


def test_returning_the_input_keeps_identity_and_ages_nobody(returning: Path, face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    scores = judged(returning, face_folder, judges)[0].scores
    assert scores.identity > 0.999  # the model's 64 pixels are not the crop's 256
    assert abs(scores.rise) < 1e-6 and scores.order == 0
    assert scores.error == pytest.approx(scores.control_error, abs=0.3)
    assert scores.own_age_psnr == PSNR_CAP
    assert scores.outside_changed == 0


def test_a_model_that_ages_is_told_from_one_that_does_not(brightening: Path, face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    scores = judged(brightening, face_folder, judges)[0].scores
    # strength 1 over 50 years is half of -1..1's unit, 63.75 gray levels, at 0.4 years a level
    assert scores.rise == pytest.approx(63.75 * 0.4, abs=0.5)
    assert scores.order == pytest.approx(1)
    assert scores.error < scores.control_error
    assert scores.own_age_psnr < PSNR_CAP
    estimates = [row.estimate for row in scores.by_target]
    assert estimates == sorted(estimates)


def test_the_judges_error_is_that_against_the_labels(returning: Path, face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    result, faces = judged(returning, face_folder, judges)
    want = np.abs(estimate_ages(judges[0], faces.crops) - faces.ages).mean()
    assert result.scores.judge_error == pytest.approx(want)
    assert want > 0.1


def test_pixels_changed_outside_the_mask_are_seen(face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    def spill(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        aged, mask = image.copy(), np.ones_like(image[:, :1])
        mask[..., :32, :] = 0
        aged[..., :16, :] += 0.1  # half of what lies outside
        return aged, mask

    scores = judge_model(spill, 64, held_out_faces([face_folder]), TARGETS, *judges).scores
    assert scores.outside_changed == pytest.approx(0.5)


def test_spearman_is_that_of_ranks() -> None:
    rising = np.array([1.0, 2, 3, 4])
    assert spearman(rising, np.array([1.0, 10, 11, 400])) == pytest.approx(1)
    assert spearman(rising, -rising) == pytest.approx(-1)
    assert spearman(rising, np.ones(4)) == 0
    assert spearman(rising, np.array([1.0, 1, 2, 2])) == pytest.approx(2 / np.sqrt(5))


def test_a_judge_sees_the_square_that_its_metadata_names(age_model: Path) -> None:
    random = np.random.default_rng(1)
    smooth = cv2.resize(random.uniform(0, 255, (6, 6, 3)), (256, 256), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    seen = Judge(age_model).look(smooth).transpose(1, 2, 0)
    want = cv2.resize(smooth[64:192, 64:192], (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(seen - want).max() <= 1.5
    larger = cv2.resize(smooth, (512, 512), interpolation=cv2.INTER_CUBIC)
    assert np.abs(Judge(age_model).look(larger) - seen.transpose(2, 0, 1)).max() <= 2.5


def test_a_file_that_is_no_judge_is_refused(returning: Path, tmp_path: Path, id_model: Path, face_folder: Path) -> None:
    with pytest.raises(ReagingError, match="no judge"):
        Judge(returning)
    with pytest.raises(ReagingError, match="cannot read"):
        Judge(tmp_path / "nothing.onnx")
    with pytest.raises(ReagingError, match="no age judge"):
        estimate_ages(Judge(id_model), held_out_faces([face_folder]).crops)


def test_the_command_writes_report_and_sheet(brightening: Path, face_folder: Path, age_model: Path, id_model: Path, tmp_path: Path) -> None:
    judge_options = ["--age-model", str(age_model), "--id-model", str(id_model)]
    run = CliRunner().invoke(
        main, ["quality", str(brightening), "--data", str(face_folder), *judge_options, "--targets", "20,70", "--out", str(tmp_path / "r")]
    )
    assert run.exit_code == 0, run.output
    report = json.loads((tmp_path / "r/report.json").read_text())
    assert report["scores"]["faces"] == 4 and report["scores"]["span"] == [20, 70]
    assert report["scores"]["data"] == [face_folder.name]
    assert f"{report['scores']['rise']:.1f}" in (tmp_path / "r/report.md").read_text()
    sheet = cv2.imread(str(tmp_path / "r/sheet.png"))
    young, old = (sheet[40:170, 160 * column + 40 : 160 * column + 120].mean() for column in (1, 2))
    assert old > young + 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--targets", "20,old"], "'old'"),
        (["--targets", "20"], "at least two"),
        (["--split", "nobody"], "no usable picture"),
        (["--data", "nowhere.tar"], "does not exist"),
    ],
)
def test_errors_are_one_line(
    change: list[str], message: str, brightening: Path, face_folder: Path, age_model: Path, id_model: Path, tmp_path: Path
) -> None:
    options = ["--data", str(face_folder), "--age-model", str(age_model), "--id-model", str(id_model), "--out", str(tmp_path / "r")]
    run = CliRunner().invoke(main, ["quality", str(brightening), *options, *change])
    assert run.exit_code == 2
    assert message in run.stderr and run.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()
