"""Reading faces from pictures, folders and tars."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.errors import ReagingError
from reaging.export.pictures import read_pictures, square_crops


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """set/labels.csv, set/a/0.png (red), set/a/1.png (blue)."""
    root = tmp_path / "set"
    (root / "a").mkdir(parents=True)
    for name, bgr in (("0", (0, 0, 255)), ("1", (255, 0, 0))):
        cv2.imwrite(str(root / "a" / f"{name}.png"), np.full((40, 60, 3), bgr, np.uint8))
    (root / "labels.csv").write_text("file,age,split\na/0.png,30,test\na/1.png,60,train\n")
    return root


def test_folder_and_tar_give_the_same(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(folder, "set")
    for source in (folder, tmp_path / "set.tar"):
        red, blue = read_pictures(source)
        assert (red.label["age"], blue.label["age"]) == ("30", "60")
        assert red.image[0, 0].tolist() == [255, 0, 0] and blue.image[0, 0].tolist() == [0, 0, 255]
        assert [p.label["split"] for p in read_pictures(source, keep=lambda label: label["split"] == "train")] == ["train"]
        assert len(read_pictures(source, limit=1)) == 1


def test_a_folder_of_shards_is_read_through_its_manifest(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shards = []
    for age, name in ((30, "0.png"), (60, "1.png")):
        (folder / "labels.csv").write_text(f"file,age\n{name},{age}\n")
        with tarfile.open(out / f"{name[0]}.tar", "w") as tar:
            tar.add(folder / "labels.csv", "labels.csv")
            tar.add(folder / "a" / name, name)
        shards.append({"file": f"{name[0]}.tar", "bytes": (out / f"{name[0]}.tar").stat().st_size})
    (out / "manifest.json").write_text(json.dumps({"shards": shards}))
    assert [p.label["age"] for p in read_pictures(out)] == ["30", "60"]
    (out / "1.tar").unlink()
    with pytest.raises(ReagingError, match="missing or not whole"):
        read_pictures(out)


def test_crops_are_the_middle_square(folder: Path) -> None:
    picture = read_pictures(folder / "a" / "0.png")[0]
    picture.image[:, :10] = 0
    picture.image[:, 50:] = 0
    crops = square_crops([picture], 20)
    assert crops.shape == (1, 20, 20, 3) and crops[..., 0].min() == 255


def test_what_cannot_be_read_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"no tar" * 200)
    (tmp_path / "empty").mkdir()
    for source, message in ((tmp_path / "bad.tar", "not a readable tar"), (tmp_path / "empty", "no usable"), (tmp_path / "x", "not exist")):
        with pytest.raises(ReagingError, match=message):
            read_pictures(source)
    (folder / "a" / "2.jpg").touch()
    with pytest.raises(ReagingError, match=r"2\.jpg is not a readable picture"):
        read_pictures(folder)
