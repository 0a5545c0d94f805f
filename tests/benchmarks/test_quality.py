"""Scores on toy judges, whose verdicts can be told beforehand; and the judges' crop against a plain resize."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from reaging.benchmarks.cli import main
from reaging.benchmarks.judges import Judge, PerceptualJudge, estimate_ages
from reaging.benchmarks.models import open_model
from reaging.benchmarks.quality import PSNR_CAP, TEMPLATE_LANDMARKS, Answers, Judges, answers, find_landmarks, held_out_faces
from reaging.benchmarks.quality_clip import judge_clip
from reaging.benchmarks.quality_scores import Scores, age_curve, judge_edits, match_threshold, skin_tone, spearman, summarize
from reaging.errors import ReagingError
from reaging.export.verify import Runner
from reaging.runtime.faces.find import FaceFinder
from reaging.runtime.faces.landmarks import FaceAligner
from reaging.runtime.faces.template import cut, frame_to_crop
from reaging.runtime.sources import open_source

TARGETS = [25.0, 45.0, 75.0]


def scored(run: Runner, folder: Path, judges: tuple[Judge, Judge], size: int = 64) -> tuple[Scores, Answers]:
    faces, who = held_out_faces([folder]), Judges((judges[0],), judges[1])
    found = answers(run, size, faces, TARGETS, who)[0]
    return summarize(found, faces, faces, who), found


def test_only_unedited_faces_of_the_split_are_judged(face_folder: Path) -> None:
    faces = held_out_faces([face_folder])
    assert faces.names == ("0_0.png", "1_0.png", "2_0.png", "3_0.png")
    assert faces.spread(2).names == ("0_0.png", "3_0.png")
    assert faces.between(48, 51).names == ("1_0.png", "2_0.png")
    assert held_out_faces([face_folder], split="train").names == ("4_0.png", "5_0.png")
    edited = held_out_faces([face_folder], edited=True)
    assert edited.names[:2] == ("0_0.png", "0_1.png") and edited.people[0] == edited.people[1] != edited.people[2]
    with pytest.raises(ReagingError, match="no face between 90 and 99"):
        faces.between(90, 99)


def test_returning_the_input_keeps_identity_and_ages_nobody(returning: Path, face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    scores = scored(open_model(returning).run, face_folder, judges)[0]
    assert scores.identity > 0.999  # the model's 64 pixels are not the crop's 256
    assert abs(scores.rise) < 1e-6 and scores.order == 0 and scores.neighbors == 0
    assert scores.errors[0] == pytest.approx(scores.control_errors[0], abs=0.3)
    assert scores.own_psnr == scores.band_psnr == PSNR_CAP
    assert scores.outside_changed == 0 and scores.own_identity > 0.999


def test_a_model_that_ages_is_told_from_one_that_does_not(brightening: Path, face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    scores = scored(open_model(brightening).run, face_folder, judges)[0]
    # strength 1 over 50 years is half of -1..1's unit, 63.75 gray levels, at 0.4 years a level
    assert scores.rise == pytest.approx(63.75 * 0.4, abs=0.5)
    assert scores.order == pytest.approx(1) and scores.neighbors == 1
    assert scores.errors[0] < scores.control_errors[0]
    assert scores.own_psnr < PSNR_CAP
    estimates = [row.ages[0].estimate for row in scores.by_target]
    assert estimates == sorted(estimates)
    # the toy judge's decades: everybody is in the forties or fifties
    assert [g.name for g in scores.groups["source age"]] == ["40 to 49", "50 to 59"]
    assert sum(g.faces for g in scores.groups["source age"]) == 4


def test_the_judges_error_is_that_against_the_labels(returning: Path, face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    scores, found = scored(open_model(returning).run, face_folder, judges)
    ages = held_out_faces([face_folder]).ages
    assert scores.judge_errors[0] == pytest.approx(np.abs(found.input_estimates[0] - ages).mean())
    assert scores.judge_errors[0] > 0.1


def test_inputs_are_judged_once(returning: Path, face_folder: Path, judges: tuple[Judge, Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    every, who = held_out_faces([face_folder]), Judges((judges[0],), judges[1])
    some = every.take([2, 0])
    found = answers(open_model(returning).run, 64, some, TARGETS, who)[0]
    seen: list[int] = []

    def counting(judge: Judge, crops: np.ndarray) -> np.ndarray:
        seen.append(len(crops))
        return estimate_ages(judge, crops)

    monkeypatch.setattr("reaging.benchmarks.quality_scores.estimate_ages", counting)
    scores = summarize(found, some, every, who)
    assert seen == [len(every.names) - 2]
    assert scores.judge_errors[0] == pytest.approx(np.abs(estimate_ages(judges[0], every.crops) - every.ages).mean())


def test_pixels_changed_outside_the_mask_are_seen(face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    def spill(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        aged, mask = image.copy(), np.ones_like(image[:, :1])
        mask[..., :32, :] = 0
        mask[..., 32:40, :] = 0.3
        aged[..., :16, :] += 0.1  # half of what lies outside
        aged[..., 32:40, :] += 0.2  # the band
        return aged, mask

    scores = scored(spill, face_folder, judges)[0]
    assert scores.outside_changed == pytest.approx(0.5)
    assert scores.band_psnr == pytest.approx(20.0, abs=1e-3)  # 0.2 of a range of 2


def test_a_change_that_moves_the_face_moves_its_landmarks(judges: tuple[Judge, Judge], tmp_path: Path) -> None:
    demo = open_source("demo")
    frame = next(iter(demo)).frame
    demo.close()
    face = FaceAligner()(frame, FaceFinder()(frame))[0]
    crop = cut(frame, frame_to_crop(face.landmarks, 256), 256)
    shifted = np.roll(crop, 8, axis=1)
    before, after = find_landmarks(np.stack([crop, shifted]))
    assert np.abs(after - before - [8, 0]).mean() < 1.5
    assert np.abs(before - TEMPLATE_LANDMARKS).mean() < 6


def test_the_curve_over_real_faces_follows_the_judge_and_knows_its_limits() -> None:
    ages = np.repeat(np.arange(20.0, 61.0), 3)
    curve = age_curve(ages, 0.9 * ages + 1, np.array([40.0, 90.0]))
    assert curve[0] == pytest.approx(37.0, abs=0.1) and curve[1] is None
    assert age_curve(np.full(5, np.nan), np.ones(5), np.array([40.0])) == [None]


def test_the_match_threshold_lets_one_percent_of_strangers_pass() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = [str(i) for i in range(60)]
    threshold = match_threshold(vectors, people)
    cosines = (vectors @ vectors.T)[np.triu_indices(60, 1)]
    assert (cosines > threshold).mean() == pytest.approx(0.01, abs=0.002)
    twins = np.repeat(vectors, 2, axis=0)  # pictures of one person are no strangers
    assert match_threshold(twins, np.repeat(people, 2).tolist()) == pytest.approx(threshold, abs=0.02)


def test_the_paired_data_is_held_against_its_first_pictures(face_folder: Path, judges: tuple[Judge, Judge]) -> None:
    edits = judge_edits(held_out_faces([face_folder], edited=True), Judges((judges[0],), judges[1]))
    assert edits.pictures == 1 and edits.identity == pytest.approx([1.0]) and edits.gaps == pytest.approx([0.0])


def test_skin_tone_falls_from_light_to_dark() -> None:
    tones = [skin_tone(np.full((256, 256, 3), rgb, np.uint8)) for rgb in ((240, 205, 185), (190, 140, 105), (90, 60, 45))]
    assert tones[0] > 41 > tones[1] > 10 > tones[2]


def test_a_perceptual_judge_measures_distance(tmp_path: Path) -> None:
    nodes = [helper.make_node("AveragePool", ["x"], ["tap"], kernel_shape=[4, 4], strides=[4, 4])]
    graph = helper.make_graph(
        nodes,
        "taps",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("tap", TensorProto.FLOAT, ["n", 3, "i", "j"])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "taps.onnx")
    judge = PerceptualJudge(tmp_path / "taps.onnx")
    red, green = np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0], green[..., 1] = 200, 100
    assert judge(red, red)[0] == 0
    assert judge(red, green)[0] == pytest.approx(2)  # unit vectors at a right angle


def test_a_clip_of_one_picture_is_steady(brightening: Path, age_model: Path) -> None:
    result = judge_clip(open_model(brightening), "demo", 75, Judge(age_model), frames=6)
    assert result.frames == 6 and result.faces == 6
    assert result.estimate > judge_clip(open_model(brightening), "demo", 25, Judge(age_model), frames=6).estimate
    assert result.deviation < 5 and result.flicker < 1  # the toy's change is the same in every frame


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
    options = ["--data", str(face_folder), "--age-model", str(age_model), "--second-age-model", str(age_model), "--id-model", str(id_model)]
    options += ["--targets", "25,75", "--source-ages", "40-52", "--pairs", str(face_folder), "--clip", "demo", "--clip-frames", "3"]
    run = CliRunner().invoke(main, ["quality", str(brightening), *options, "--out", str(tmp_path / "r")])
    assert run.exit_code == 0, run.output
    report = json.loads((tmp_path / "r/report.json").read_text())
    scores = report["scores"]
    assert scores["faces"] == 3 and scores["source_ages"] == [40, 52] and scores["data"] == [face_folder.name]
    assert scores["errors"][0] == scores["errors"][1] and len(report["estimates"]) == 2
    assert report["clips"][0]["frames"] == 3 and report["cost"]["bytes"] == brightening.stat().st_size
    assert f"{scores['rise']:.1f}" in (tmp_path / "r/report.md").read_text()
    sheet = cv2.imread(str(tmp_path / "r/sheet.png"))
    young, old = (sheet[40:170, 160 * column + 40 : 160 * column + 120].mean() for column in (1, 2))
    assert old > young + 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--targets", "20,old"], "'old'"),
        (["--targets", "20"], "at least two"),
        (["--source-ages", "60-20"], "is empty"),
        (["--source-ages", "90-99"], "no face between"),
        (["--perceptual-model", "nowhere.onnx"], "cannot read"),
        (["--clip", "nowhere.mp4"], "nowhere.mp4"),
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
