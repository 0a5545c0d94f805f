import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from procedural import write_faces

from reaging.data.cli import main
from reaging.data.shards import open_faces


def photos(folder):
    """Two photos with a face (the portrait that scikit-image carries), one without, one that is none."""
    data = pytest.importorskip("skimage.data")
    folder.mkdir()
    portrait = data.astronaut()[:, :, ::-1]
    cv2.imwrite(str(folder / "a.png"), portrait)
    cv2.imwrite(str(folder / "b.jpg"), portrait[:, ::-1])
    cv2.imwrite(str(folder / "c.png"), np.full((300, 300, 3), 90, np.uint8))
    (folder / "d.jpg").write_bytes(b"no picture")
    (folder / "labels.csv").write_text("file,age,identity,split\na.png,42,1,train\nb.jpg,42,1,train\nc.png,3,2,train\nd.jpg,9,3,train\n")
    return folder


def test_prepare_aligns_what_it_finds_and_says_what_it_left_out(tmp_path):
    source = photos(tmp_path / "photos")
    result = CliRunner().invoke(main, ["prepare", str(source), str(tmp_path / "s.tar")])
    assert result.exit_code == 0, result.output
    assert "2 faces, 1 left out (no face found), 1 left out (cannot be decoded)" in result.output
    faces = open_faces([tmp_path / "s.tar"], 256)
    assert [r.age for r in faces.records] == [42, 42] and faces.picture(0).shape == (256, 256, 3)
    again = CliRunner().invoke(main, ["prepare", str(source), str(tmp_path / "t.tar")])
    assert again.exit_code == 0 and (tmp_path / "s.tar").read_bytes() == (tmp_path / "t.tar").read_bytes()
    assert CliRunner().invoke(main, ["prepare", str(source), str(tmp_path / "s.tar")]).exit_code == 2, "not overwritten"


def test_prepare_leaves_nothing_where_there_is_no_face(tmp_path):
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "c.png"), np.full((300, 300, 3), 90, np.uint8))
    (tmp_path / "photos" / "labels.csv").write_text("file,age\nc.png,3\n")
    result = CliRunner().invoke(main, ["prepare", str(tmp_path / "photos"), str(tmp_path / "s.tar")])
    assert result.exit_code == 2 and "no face found in any photo" in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_inspect_counts_and_draws(tmp_path):
    faces = write_faces(tmp_path / "faces", people=8)
    result = CliRunner().invoke(main, ["inspect", str(faces), "--sheet", str(tmp_path / "sheet.png"), "--size", "64"])
    assert result.exit_code == 0, result.output
    assert "train" in result.output and " 24 " in result.output and " 8 " in result.output
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (1280, 1024, 3)
