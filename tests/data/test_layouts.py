import io
import tarfile

import pytest

from reaging.data.filters import Filters, refuse_label
from reaging.data.layouts import read_layout
from reaging.errors import ReagingError


def files(folder, *names, **tables):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def read(folder, layout):
    photos, dropped = read_layout(folder, layout)
    return {p.name: p for p in photos}, {d.name: d.reason for d in dropped}


def test_csv(tmp_path):
    table = "file,age,identity,split,sex\n"
    table += "a.jpg,5,1,train,female\nsub/b.jpg,61.5,1,test,m\nc.jpg,old,2,,\nd.jpg,150,2,,\ngone.jpg,5,,,\n../up.jpg,5,,,\na.jpg,6,,,\n"
    photos, dropped = read(files(tmp_path, "a.jpg", "sub/b.jpg", "c.jpg", "d.jpg", "e.png", labels=table), "csv")
    assert {n: (p.age, p.identity, p.split, p.sex) for n, p in photos.items()} == {
        "a.jpg": (5, "1", "train", "f"),
        "sub/b.jpg": (61.5, "1", "test", "m"),
    }
    assert {n: reason.split()[0:3] for n, reason in dropped.items()} == {
        "a.jpg": ["labelled", "twice"],
        "c.jpg": ["an", "age", "that"],
        "d.jpg": ["an", "age", "that"],
        "gone.jpg": ["a", "label", "without"],
        "../up.jpg": ["a", "label", "whose"],
        "e.png": ["a", "file", "without"],
    }


def test_utkface_with_the_publishers_broken_names(tmp_path):
    names = {
        "26_0_1_20170116220224657.jpg": (26, "m"),
        "100_1_0_20170112213500903.jpg.chip.jpg": (100, "f"),
        "61_1_20170109142408075.jpg.chip.jpg": (61, ""),  # a field is missing: which, is not said
        "53__0_20170116184028385.jpg": (53, ""),
        "55_0_0_20170116232725357jpg.chip.jpg": (55, "m"),
        "24_0_1_20170116220224657 .jpg.chip.jpg": (24, "m"),
        "44_1_4_20170116235150272.pg.chip.jpg": (44, "f"),
    }
    photos, dropped = read(files(tmp_path, *names, "130_0_0_20170116220224657.jpg", "cover.jpg", "readme.txt"), "utkface")
    assert {n: (p.age, p.sex) for n, p in photos.items()} == names
    assert dropped == {"130_0_0_20170116220224657.jpg": "an age out of range: 130", "cover.jpg": "a file without a label"}


def test_fairface_takes_the_wide_crops_and_the_published_split(tmp_path):
    train = "file,age,gender,race,service_test\ntrain/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,more than 70,Female,Indian,False\n"
    val = "file,age,gender,race,service_test\nval/1.jpg,3-9,Male,East Asian,False\n"
    val += "val/9.jpg,0-2,Male,White,False\nval/3.jpg,60s,Male,White,True\n"
    margins = [f"margin{m}/{n}" for m in ("025", "125") for n in ("train/1.jpg", "train/2.jpg", "val/1.jpg", "val/3.jpg")]
    photos, dropped = read(files(tmp_path, *margins, fairface_label_train=train, fairface_label_val=val), "fairface")
    assert {n: (p.age, p.range, p.split, p.sex) for n, p in photos.items()} == {
        "margin125/train/1.jpg": (55, (50, 59), "train", "m"),
        "margin125/train/2.jpg": (78, (70, 120), "train", "f"),
        "margin125/val/1.jpg": (6.5, (3, 9), "test", "m"),
    }
    assert dropped["val/9.jpg"] == "a label without a file" and dropped["margin125/val/3.jpg"].startswith("an age that is no number")


def test_all_age_faces_prefers_originals(tmp_path):
    names = ("original images/00001A23.jpg", "aligned faces/00001A23.jpg", "original images/07381A02.jpg", "key points/00001A23.txt")
    photos, dropped = read(files(tmp_path, *names, "original images/x.jpg"), "all-age-faces")
    assert {n: (p.age, p.sex) for n, p in photos.items()} == {names[0]: (23, "f"), names[2]: (2, "m")}
    assert dropped == {"original images/x.jpg": "a file without a label"}


FFHQ = "image_number,age_group,age_group_confidence,gender,gender_confidence,head_pitch,head_roll,head_yaw,"
FFHQ += "left_eye_occluded,right_eye_occluded,glasses\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("20-29,0.9,female,0.99,-3,1,5,2,3,None", ""),
        ("20-29,0.6,female,0.99,-3,1,5,2,3,None", "an unsure age label"),  # more than 0.6 is asked for
        ("20-29,0.61,male,0.66,-3,1,5,2,3,None", "an unsure gender label"),
        ("20-29,0.9,male,0.99,30,1,5,2,3,None", "a turned head, as labelled"),
        ("20-29,0.9,male,0.99,-3,1,-40.5,2,3,None", "a turned head, as labelled"),
        ("20-29,0.9,male,0.99,-29,80,39,2,3,Normal", ""),
        ("20-29,0.9,male,0.99,-3,1,5,2,3,Dark", "dark glasses"),
        ("20-29,0.9,male,0.99,-3,1,5,89,49,None", ""),
        ("20-29,0.9,male,0.99,-3,1,5,49,89,None", ""),
        ("20-29,0.9,male,0.99,-3,1,5,50,51,None", "hidden eyes"),
        ("20-29,0.9,male,0.99,-3,1,5,90,0,None", "hidden eyes"),
    ],
)
def test_ffhq_agings_rule(tmp_path, row, reason):
    folder = files(tmp_path, "ffhq/00000/00007.png", "ffhq/parsings/00007.png", ffhq_aging_labels=f"{FFHQ}7,{row}\n")
    photos, dropped = read(folder, "ffhq-aging")
    photo = photos["ffhq/00000/00007.png"]
    assert not dropped and photo.range == (20, 29) and photo.age == 25
    assert refuse_label(photo, Filters()) == reason


def test_ffhq_aging_counts_what_does_not_fit(tmp_path):
    table = FFHQ + "1,70-120,1,male,1,0,0,0,0,0,None\n2,70-120,1,male,1,0,0,0,0,0,None\n3,5-8,1,male,1,0,0,0,0,0,None\n"
    photos, dropped = read(files(tmp_path, "00001.png", "00003.png", "00004.png", ffhq_aging_labels=table), "ffhq-aging")
    assert [(p.age, p.range) for p in photos.values()] == [(80, (70, 120))]
    assert dropped["2"] == "a label without a file" and dropped["00004.png"] == "a file without a label" and "age" in dropped["00003.png"]


def test_nothing_climbs_out_of_a_tar_or_a_folder(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("labels.csv", "a.jpg", "../b.jpg", "/c.jpg", "s/../../d.jpg"):
            content = b"file,age\na.jpg,5\n../b.jpg,6\n" if name == "labels.csv" else b"x"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("e.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    photos, dropped = read(tmp_path / "x.tar", "csv")
    assert list(photos) == ["a.jpg"]
    assert {n for n, reason in dropped.items() if "climbs" in reason} == {"../b.jpg", "/c.jpg", "s/../../d.jpg"} and "e.jpg" in dropped
    (tmp_path / "secret.jpg").write_bytes(b"x")
    folder = files(tmp_path / "f", "a.jpg", labels="file,age\na.jpg,5\nb.jpg,6\n")
    (folder / "b.jpg").symlink_to("../secret.jpg")
    photos, dropped = read_layout(folder, "csv")
    assert [p.name for p in photos] == ["a.jpg"] and "a link that leads out of the folder" in {d.reason for d in dropped}


@pytest.mark.parametrize("layout", ["csv", "ffhq-aging", "utkface", "fairface", "all-age-faces"])
def test_a_folder_of_something_else_is_named(tmp_path, layout):
    with pytest.raises(ReagingError, match="expected"):
        read_layout(files(tmp_path, "a.txt"), layout)
    with pytest.raises(ReagingError, match="a folder or a tar"):
        read_layout(tmp_path / "missing", layout)
