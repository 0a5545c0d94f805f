import csv
import dataclasses
import io
import tarfile

import cv2
import numpy as np
import pytest
from procedural import procedural_face, write_faces

from reaging.data.augment import augment_mask, augment_picture, draw_augmentation
from reaging.data.shards import change_mask, open_faces
from reaging.errors import ReagingError


def shard(path, table: str, files: dict[str, bytes], folder: str = ""):
    with tarfile.open(path, "w") as tar:
        for name, content in {"labels.csv": table.encode(), **files}.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def png(seed: int, age: float) -> bytes:
    return cv2.imencode(".png", procedural_face(seed, age)[:, :, ::-1])[1].tobytes()


def test_a_folder_and_a_tar_hold_the_same(tmp_path):
    folder = write_faces(tmp_path / "faces", people=4)
    with tarfile.open(tmp_path / "faces.tar", "w") as tar:
        tar.add(folder, "faces")
    for split, count in (("train", 12), ("test", 4)):
        a, b = open_faces([folder], 64, split), open_faces([tmp_path / "faces.tar"], 64, split)
        assert len(a) == len(b) == count
        assert all(np.array_equal(a.picture(i), b.picture(i)) and a.records[i].age == b.records[i].age for i in range(count))
    assert np.array_equal(a.picture(0), procedural_face(3, a.records[0].age))


def test_held_out_identities_never_train(tmp_path):
    """Also without a split column: the same person is on one side only."""
    table = "file,age,identity\n" + "".join(f"{p}_{a}.png,{a},{p}\n" for p in range(40) for a in (5, 60))
    path = shard(tmp_path / "s.tar", table, {f"{p}_{a}.png": png(p, a) for p in range(40) for a in (5, 60)})
    train, test = ({r.identity for r in open_faces([path], 64, s).records} for s in ("train", "test"))
    assert train and test and not train & test and len(train | test) == 40


def test_a_person_is_one_across_shards(tmp_path):
    for k, age in enumerate((5, 60, 70)):
        shard(tmp_path / f"{k}.tar", f"file,age,identity,split\na{k}.png,{age},7,train\n", {f"a{k}.png": png(7, age)})
    faces = open_faces([tmp_path / f"{k}.tar" for k in range(3)], 64)
    assert [len(members) for members in faces.identities] == [3]
    assert faces.mask(0) is not None


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("file,years\na.png,5\n", "columns"),
        ("", "columns"),
        ("file,age\na.png,old\n", "age 'old'"),
        ("file,age\na.png,nan\n", "age 'nan'"),
        ("file,age\na.png,-1\n", "age '-1'"),
        ("file,age\nb.png,5\n", "names b.png"),
        ("file,age\n../../etc/passwd,5\n", "passwd"),
        ('file,age\n"a.png,5\n', "readable"),
    ],
)
def test_bad_tables_are_named(tmp_path, table, says):
    with pytest.raises(ReagingError, match=says):
        open_faces([shard(tmp_path / "s.tar", table, {"a.png": png(0, 5)})], 64)


def test_paths_do_not_climb_out_of_a_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(0, 5))
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "labels.csv").write_text("file,age\n../secret.png,5\n")
    with pytest.raises(ReagingError, match="inside that folder"):
        open_faces([tmp_path / "faces"], 64)


def test_unreadable_data_is_named(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nothing")
    for path in (tmp_path / "x.tar", tmp_path / "missing", tmp_path):
        with pytest.raises(ReagingError):
            open_faces([path], 64)
    broken = shard(tmp_path / "s.tar", "file,age,split\na.png,5,train\n", {"a.png": b"\x89PNG no picture"})
    with pytest.raises(ReagingError, match="cannot be decoded"):
        open_faces([broken], 64).picture(0)


def test_pairs_are_augmented_alike():
    """Two equal pictures stay equal, so that nothing but age tells input and target apart."""
    face = procedural_face(1, 30, 128)
    moved = 0
    for seed in range(20):
        change = draw_augmentation(np.random.default_rng(seed), 1.0, 1.0)
        a, b = augment_picture(face, change), augment_picture(face.copy(), change)
        assert a.shape == face.shape and a.dtype == np.uint8 and np.array_equal(a, b)
        moved += not np.array_equal(a, face)
    assert moved == 20
    still = draw_augmentation(np.random.default_rng(3), 0.0, 0.0)
    same = augment_picture(face, still)
    assert np.array_equal(same, face[:, ::-1] if still.flip else face)


def test_the_mask_moves_with_the_picture():
    dot = np.zeros((128, 128, 3), np.uint8)
    cv2.circle(dot, (40, 70), 8, (255, 255, 255), -1)
    mask = cv2.resize(dot[:, :, 0], (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    for seed in range(10):
        change = draw_augmentation(np.random.default_rng(seed), 1.0, 0.0)
        picture = cv2.resize(augment_picture(dot, change).max(-1), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        centers = [np.array(np.nonzero(x > x.max() / 2)).mean(1) for x in (picture, augment_mask(mask, change))]
        assert np.abs(centers[0] - centers[1]).max() < 1.0


def test_motion_smears_along_its_way_and_dim_light_darkens():
    dot = np.zeros((256, 256, 3), np.uint8)
    dot[126:131, 126:131] = 255
    still = dataclasses.replace(draw_augmentation(np.random.default_rng(3), 0.0, 0.0), flip=False, gain=np.ones(3, np.float32), gamma=1.0)
    along = augment_picture(dot, dataclasses.replace(still, motion=(12.0, 0.0)))
    rows, columns = (np.ptp(np.nonzero(along.max(-1) > 20)[i]) + 1 for i in (0, 1))
    assert rows == 5 and 14 <= columns <= 18
    assert along.sum() == pytest.approx(dot.sum(), rel=0.05), "light is smeared, not lost"
    means = [
        augment_picture(np.full((64, 64, 3), 200, np.uint8), draw_augmentation(np.random.default_rng(s), 0.0, 1.0)).mean() for s in range(8)
    ]
    assert max(means) < 175, "always degraded, always dim"


def test_the_change_mask_holds_the_face_and_not_the_background():
    pictures = [procedural_face(5, age, 128) for age in (5, 30, 60, 90)]
    for k, picture in enumerate(pictures):
        picture[:, :8] = picture[:20, :20] = 60 * k  # a background that drifts from picture to picture
    mask = change_mask(pictures)
    assert mask.shape == (32, 32) and mask[18, 16] > 0.95, "the face, whether it differs or not"
    assert mask[:, :1].max() < 0.1 and mask[:4, :4].max() < 0.1


def test_labels_of_the_shared_set(request):
    from conftest import shared_file

    path = shared_file("data/lifespan-0.tar")
    faces = open_faces([path], 256)
    with tarfile.open(path) as tar:
        rows = list(
            csv.DictReader(
                io.TextIOWrapper(tar.extractfile(tar.getmember("labels.csv" if "labels.csv" in tar.getnames() else "./labels.csv")))
            )
        )
    assert len(faces) == sum(r["split"] == "train" for r in rows)
    assert all(len(members) == 8 for members in faces.identities)
