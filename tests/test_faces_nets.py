"""The finder's and the aligner's networks, their training pictures, tasks and export; small and untrained."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from reaging.data.scenes import (
    COLUMNS,
    MIRRORED,
    Pose,
    aligner_crop,
    batches,
    cut_shapes,
    finder_scene,
    load_album,
    paste,
    place,
)
from reaging.errors import ReagingError
from reaging.export.faces import export_faces
from reaging.nets.cost import count_macs, count_parameters
from reaging.nets.faces import Aligner, AlignerPreset, Finder, FinderPreset
from reaging.runtime.faces.find import STRIDES, UNITS, FaceFinder, decode
from reaging.runtime.faces.landmarks import FaceAligner
from reaging.runtime.faces.template import square
from reaging.training.checkpoint import save_checkpoint
from reaging.training.faces import AlignerTask, FinderTask, finder_targets

FACE = np.float32([[95.8, 120.9], [159.1, 121.0], [127.0, 158.0], [100.8, 186.7], [154.3, 186.6]])
SMALL_FINDER = FinderPreset(size=128, channels=(8, 8, 16, 16, 24), blocks=(1, 1, 1), neck=16, batch=4, steps=60)
SMALL_ALIGNER = AlignerPreset(channels=(8, 8, 16, 16), blocks=(0, 1, 1), batch=8, steps=60)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn faces (an ellipse, eyes, nose, mouth) with labels, and noise without."""
    faces, others = tmp_path_factory.mktemp("faces"), tmp_path_factory.mktemp("backgrounds")
    rng = np.random.default_rng(0)
    with (faces / "labels.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["file", "split", *COLUMNS])
        for i in range(6):
            points = FACE + rng.normal(0, 3, (5, 2)).astype(np.float32)
            picture = np.full((256, 256, 3), rng.integers(0, 256, 3), np.uint8)
            cv2.ellipse(picture, (128, 145), (70, 100), 0, 0, 360, (140, 170, 220), -1)
            for point in points:
                cv2.circle(picture, tuple(int(v) for v in point), 7, (30, 30, 60), -1)
            cv2.imwrite(str(faces / f"{i}.png"), picture)
            writer.writerow([f"{i}.png", "test" if i == 5 else "train", *points.ravel()])
        writer.writerow(["0.png", "train", *["nan"] * 10])  # no face was seen in it: left out
    for i in range(24):
        cv2.imwrite(str(others / f"noise-{i}.jpg"), rng.integers(0, 256, (90, 120, 3), np.uint8))
    return [faces, others]


def test_the_presets_keep_to_their_bounds() -> None:
    finder, aligner = Finder(FinderPreset()), Aligner(AlignerPreset())
    assert count_parameters(finder) <= 300_000
    assert count_macs(finder, torch.zeros(1, 3, 256, 320)) <= 60e6  # 320 x 240, filled up
    assert count_macs(aligner, torch.zeros(1, 3, 96, 96)) <= 20e6
    assert 4 * (count_parameters(finder) + count_parameters(aligner)) < 2e6  # bytes


def test_held_out_faces_and_pictures_never_train(data: list[Path]) -> None:
    train, test = load_album(data), load_album(data, "test")
    assert (len(train.landmarks), len(test.landmarks)) == (5, 1)
    assert len(train.backgrounds) + len(test.backgrounds) == 24 and test.backgrounds
    assert not any((picture == other).all() for picture in train.backgrounds for other in test.backgrounds)


def test_data_without_faces_or_backgrounds_is_refused(data: list[Path], tmp_path: Path) -> None:
    for paths in ([data[0]], [data[1]], [], [tmp_path / "missing.tar"]):
        with pytest.raises(ReagingError):
            load_album(paths)


@pytest.mark.parametrize(
    "pose",
    [
        Pose(60, 70, 50, 0.0),
        Pose(70, 60, 40, 0.5, mirrored=True),
        Pose(64, 64, 60, -0.3, yaw=0.5, pitch=-0.3),
        Pose(64, 64, 60, 0.2, yaw=-0.6, pitch=0.35, mirrored=True),
    ],
)
def test_landmarks_go_where_the_picture_goes(pose: Pose) -> None:
    """A dot on each landmark of a crop is found again, by its color's center of mass, where ``place`` says."""
    expected = place(FACE, pose)
    for i, point in enumerate(FACE):
        y, x = np.mgrid[0:256, 0:256]
        dot = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 4.0**2)) * 255
        picture = np.zeros((128, 128, 3), np.uint8)
        paste(picture, np.repeat(dot.astype(np.uint8)[..., None], 3, 2), np.full((8, 8), 255, np.uint8), pose, np.ones(3, np.float32))
        v, u = np.mgrid[0:128, 0:128]
        mass = picture[..., 0].astype(float)
        found = np.array([(mass * u).sum(), (mass * v).sum()]) / mass.sum()
        assert np.abs(found - expected[MIRRORED[i] if pose.mirrored else i]).max() < 0.8  # a turn also spreads the dot unevenly


def test_the_same_step_draws_the_same_pictures_another_step_others(data: list[Path]) -> None:
    album, shapes = load_album(data), cut_shapes(np.random.default_rng(0))
    first, again = ([finder_scene(rng, album, 96, shapes) for rng in batches(1, 7, 6)] for _ in range(2))
    other = [finder_scene(rng, album, 96, shapes) for rng in batches(1, 8, 6)]
    assert all((a.picture == b.picture).all() and (a.landmarks == b.landmarks).all() for a, b in zip(first, again, strict=True))
    assert any((a.picture != b.picture).any() for a, b in zip(first, other, strict=True))
    crops = [aligner_crop(rng, album, 96, 1.2, shapes) for rng in batches(2, 0, 40)]
    assert {is_face for _, _, is_face in crops} == {True, False}


def test_targets_are_what_the_decoder_reads(data: list[Path]) -> None:
    """Truth and landmarks written as the network's output come back as the scene's faces."""
    album, shapes = load_album(data), cut_shapes(np.random.default_rng(0))
    read = 0
    for rng in batches(3, 0, 30):
        scene = finder_scene(rng, album, 256, shapes)
        targets = finder_targets(scene)
        maps = [np.concatenate([np.where(truth == 1, 9.0, -9.0)[None], points]).astype(np.float32) for truth, points, _ in targets]
        faces = decode(maps, 0.5)
        for face in faces:
            assert np.abs(scene.landmarks - face.landmarks).max(axis=(1, 2)).min() < 0.01
        sizes = [float(np.hypot(*square(points)[1])) for points in scene.landmarks]
        clear = [seen > 0.9 and half > 8 for seen, half in zip(scene.seen, sizes, strict=True)]
        if len(clear) == 1 and clear[0]:
            assert len(faces) == 1
        read += len(faces)
    assert read > 15


@pytest.mark.parametrize("task", [(FinderTask, SMALL_FINDER), (AlignerTask, SMALL_ALIGNER)])
def test_a_task_learns_its_own_batch(task: tuple[type, object], data: list[Path], tmp_path: Path) -> None:
    kind, preset = task
    torch.manual_seed(0)
    trainer = kind(dataclasses.replace(preset, lr=1e-2), data)
    batch = trainer.batch(0)
    losses = [sum(trainer.step(batch, min(step * 10, 40)).values()) for step in range(20)]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    trainer.sample(tmp_path / "sample.png")
    picture = cv2.imread(str(tmp_path / "sample.png"))
    assert picture is not None and picture.std() > 1


def test_export_runs_as_the_runtime_runs_it_on_any_shape(data: list[Path], tmp_path: Path) -> None:
    """The exported finder sees the same as the torch network on frames of several shapes; the aligner takes any number of faces."""
    trainer = FinderTask(SMALL_FINDER, data)
    head = trainer.ema["finder"].head  # untrained it says no everywhere: let it say yes somewhere
    with torch.no_grad():
        for level in head:
            level.weight.normal_(0, 0.3)
            level.bias.copy_(torch.tensor([0.0, *(FACE - FACE.mean(0)).ravel() / 64]))
    save_checkpoint(tmp_path / "finder.pt", trainer, 3)
    export_faces(tmp_path / "finder.pt", tmp_path / "finder.onnx")
    finder = FaceFinder(tmp_path / "finder.onnx", threshold=0.5)
    assert (finder.card.kind, finder.card.step, finder.card.size) == ("finder", 3, (256, 320))
    rng = np.random.default_rng(0)
    for height, width in ((64, 96), (96, 32)):
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        picture = torch.from_numpy(np.ascontiguousarray(frame[..., ::-1])).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            expected = decode([level[0].numpy() for level in trainer.ema["finder"].eval()(picture)], 0.5)
        found = finder(frame)
        assert len(found) == len(expected) > 0
        assert np.abs(found[0].landmarks - expected[0].landmarks).max() < 1e-2

    aligning = AlignerTask(SMALL_ALIGNER, data)
    save_checkpoint(tmp_path / "aligner.pt", aligning, 0)
    export_faces(tmp_path / "aligner.pt", tmp_path / "aligner.onnx")
    aligner = FaceAligner(tmp_path / "aligner.onnx", threshold=0.0)
    frame = rng.integers(0, 256, (200, 300, 3), np.uint8)
    for count in (1, 3):
        assert len(aligner(frame, found[:1] * count)) == count


def test_another_checkpoint_or_model_is_refused(data: list[Path], tmp_path: Path, tinting: Path) -> None:
    with pytest.raises(ReagingError, match="finder"):
        FaceFinder(tinting)
    with pytest.raises(ReagingError):
        FaceAligner(tmp_path / "missing.onnx")
    (tmp_path / "broken.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ReagingError):
        export_faces(tmp_path / "broken.pt", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_levels_of_network_and_decoder_agree() -> None:
    assert len(STRIDES) == len(UNITS) == len(Finder(SMALL_FINDER).head)
