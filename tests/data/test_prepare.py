import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from portraits import photo, write_photo, write_photos

from reaging.data.cli import main
from reaging.data.shards import open_faces, open_records

FFHQ = "image_number,age_group,age_group_confidence,gender,gender_confidence,head_pitch,head_roll,head_yaw,"
FFHQ += "left_eye_occluded,right_eye_occluded,glasses\n"


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [*map(str, arguments), "--workers", "1"] if arguments[0] == "prepare" else list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result.output


def shards(out):
    return {p.name: p.read_bytes() for p in sorted(out.glob("*.tar"))}


def ffhq_aging(folder):
    rows = [f"{k},{group},{sure},female,0.99,0,0,0,1,1,None" for k, group, sure in ((0, "20-29", 0.9), (1, "70-120", 0.9), (2, "3-6", 0.5))]
    for k in range(3):
        write_photo(folder / f"ffhq_aging256x256/00000/{k:05d}.png", k)
    (folder / "ffhq_aging_labels.csv").write_text(FFHQ + "\n".join(rows) + "\n")
    return {25.0, 80.0}


def utkface(folder):
    for k, name in enumerate(["26_1_0_20170116220224657.jpg", "70_1_20170109142408075.jpg", "5_1_0_20170116220224657.jpg.chip.jpg"]):
        write_photo(folder / name, k)
    return {26.0, 70.0, 5.0}


def fairface(folder):
    for k, name in enumerate(["train/1.jpg", "train/2.jpg", "val/1.jpg"]):
        write_photo(folder / "fairface-img-margin125-trainval" / name, k)
    (folder / "fairface_label_train.csv").write_text("file,age,gender,race,service_test\ntrain/1.jpg,20-29,F,W,1\ntrain/2.jpg,0-2,F,W,1\n")
    (folder / "fairface_label_val.csv").write_text("file,age,gender,race,service_test\nval/1.jpg,more than 70,F,W,1\n")
    return {25.0, 1.5, 78.0}


def all_age_faces(folder):
    for k, name in enumerate(["00001A23.jpg", "07381A70.jpg"]):
        write_photo(folder / "original images" / name, k)
    return {23.0, 70.0}


def table(folder):
    write_photos(folder / "sub", 4)
    return {5.0, 20.0, 40.0, 70.0}


@pytest.mark.parametrize(
    ("layout", "make"),
    [("ffhq-aging", ffhq_aging), ("utkface", utkface), ("fairface", fairface), ("all-age-faces", all_age_faces), ("csv", table)],
)
def test_each_layout_becomes_shards(tmp_path, layout, make):
    (tmp_path / "photos").mkdir()
    ages = make(tmp_path / "photos")
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(tmp_path / "photos", "photos")
    run("prepare", tmp_path / "photos", tmp_path / "a", "--layout", layout, "--size", "64")
    run("prepare", tmp_path / "photos.tar", tmp_path / "b", "--layout", layout, "--size", "64")
    for out in ("a", "b"):
        records = open_records([tmp_path / out])
        assert {r.age for r in records} == ages, "of the folder and of the tar"
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"shard-00000.tar", "manifest.json", "dropped.csv", "report.html"}
    faces = open_faces([tmp_path / "a"], 64, records[0].split)
    picture = faces.picture(0).astype(float)
    eyes, cheeks = picture[29:33, 20:44].mean(), picture[36:42, 22:42].mean()
    assert picture.shape == (64, 64, 3) and eyes < cheeks, "a face in the template: the line of the eyes is darker than the cheeks"
    if layout == "fairface":
        assert {r.age: r.split for r in records} == {25: "train", 1.5: "train", 78: "test"}
    if layout == "ffhq-aging":
        assert "00002.png,an unsure age label" in (tmp_path / "a" / "dropped.csv").read_text()


def test_the_shards_stand_alone_and_export_reads_them(tmp_path):
    from reaging.export.pictures import read_pictures

    write_photos(tmp_path / "photos", 12)
    output = run("prepare", tmp_path / "photos", tmp_path / "out", "--size", "64", "--shard-mb", "0.02")
    names = sorted(shards(tmp_path / "out"))
    assert len(names) > 1 and f"12 faces in {len(names)} shards, 0 files left out" in output
    assert sum(len(open_records([tmp_path / "out" / n])) for n in names) == 12 == len(open_records([tmp_path / "out"]))
    first = tmp_path / "out" / names[0]
    pictures = read_pictures(first)
    assert all(p.label["age"] in ("5", "20", "40", "70") and p.image.shape == (64, 64, 3) for p in pictures)
    with tarfile.open(first) as tar:
        members = [m.name for m in tar]
        card = json.load(tar.extractfile("card.json"))
    assert members[:2] == ["labels.csv", "card.json"], "what a stream needs first"
    assert card["size"] == 64 and card["pictures"] == len(members) - 2 and card["filters"]["yaw"] == 40
    people = {r.identity: r.split for r in open_records([tmp_path / "out"])}
    assert len(people) == 6, "two pictures of each, also across shards, in one split"
    (tmp_path / "out" / names[1]).write_bytes(b"cut off")
    assert "not whole" in run("inspect", tmp_path / "out", code=2)


def bomb(width, height):
    """A PNG of that size and a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def encoded(picture, suffix=".jpg", **options):
    from PIL import Image

    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture[:, :, ::-1])
    image.save(file, {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}[suffix], **options)
    return file.getvalue()


def test_bad_input_is_counted_listed_and_never_fatal(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    good = {
        "cmyk.jpg": encoded(Image.fromarray(photo(0)[:, :, ::-1]).convert("CMYK")),
        "turned.jpg": encoded(np.rot90(photo(1)).copy(), exif=exif),
        "palette.png": encoded(Image.fromarray(photo(2)[:, :, ::-1]).quantize(200), ".png"),
        "clear.png": encoded(Image.fromarray(photo(3)[:, :, ::-1]).convert("RGBA"), ".png"),
        "huge.png": encoded(cv2.resize(photo(4), (3000, 3000)), ".png", compress_level=1),
        'na"me, <b>.jpg': encoded(photo(5)),
    }
    jpeg = encoded(photo(6), quality=95)
    bad = {
        "zero.jpg": (b"", "unreadable: an empty file"),
        "text.jpg": (b"no picture", "unreadable: not a picture, or of a format that is not read (HEIC)"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "unreadable: cut off"),
        "bomb.png": (bomb(60000, 60000), "unreadable: over 150 megapixels"),
        "short.png": (bomb(300, 300), "unreadable: cut off"),
        "dot.png": (encoded(np.zeros((3, 3, 3), np.uint8), ".png"), "unreadable: under 16 pixels"),
        "strip.png": (encoded(np.zeros((20, 9000, 3), np.uint8), ".png"), "no face found"),
        "wall.jpg": (encoded(np.full((300, 300, 3), 90, np.uint8)), "no face found"),
        "two.jpg": (encoded(np.hstack([photo(8), photo(9)])), "two faces of like size"),
        "gray.jpg": (encoded(cv2.cvtColor(cv2.cvtColor(photo(10), 6), 8)), "gray or toned"),
        "small.jpg": (encoded(photo(12, 70)), None),  # too small, or not found at all
        "blurred.jpg": (encoded(cv2.GaussianBlur(photo(14), (0, 0), 9)), None),  # no face, or blurred: either is right
    }
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["file,age", "gone.jpg,30", "../../x.jpg,30"]
    for name, content in {**good, **{n: c for n, (c, _) in bad.items()}, "unlabelled.jpg": jpeg, "old.jpg": jpeg}.items():
        (folder / name).write_bytes(content)
        quoted = name.replace('"', '""')
        rows += [] if name == "unlabelled.jpg" else [f'"{quoted}",{999 if name == "old.jpg" else 30}']
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    output = run("prepare", folder, tmp_path / "out", "--size", "64")
    import csv

    with (tmp_path / "out" / "dropped.csv").open(newline="") as file:
        dropped = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    expected = {n: reason for n, (_, reason) in bad.items()} | {
        "gone.jpg": "a label without a file",
        "../../x.jpg": "a label whose path climbs out of the source",
        "unlabelled.jpg": "a file without a label",
        "old.jpg": "an age that is no number of years from 0 to 120",
    }
    assert dropped.keys() == expected.keys()
    assert {n: r for n, r in dropped.items() if expected[n]} == {n: r for n, r in expected.items() if r}
    assert f"{len(good)} faces in 1 shards, {len(expected)} files left out" in output
    report = (tmp_path / "out" / "report.html").read_text()
    assert all(reason in report for reason in dropped.values()) and "wall.jpg" in report and "<b>" not in report
    assert 'src="http' not in report and report.count("data:image/") > 5
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert sum(manifest["dropped"].values()) == len(expected)


def test_tight_crops_are_refused_with_a_reason_unless_wanted(tmp_path):
    folder = tmp_path / "utk"
    folder.mkdir()
    for k in range(3):  # as dlib cuts UTKFace: the eyes 0.38 of the side apart
        face = cv2.resize(photo(2 * k)[62 : 62 + 116, 86 : 86 + 116], (200, 200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{20 + k}_1_0_2017011622022465{k}.jpg.chip.jpg"), face)
    output = run("prepare", folder, tmp_path / "out", "--layout", "utkface", "--size", "64", code=2)
    assert "no usable face in 3 photos" in output and "report.html" in output
    assert (tmp_path / "out" / "dropped.csv").read_text().count("a tight crop: hair and chin lie outside the picture") == 3
    assert "a tight crop" in (tmp_path / "out" / "report.html").read_text()
    output = run("prepare", folder, tmp_path / "b", "--layout", "utkface", "--size", "64", "--filter", "outside=0.8")
    assert "a tight crop" not in output and " faces in 1 shards" in output


def test_a_taken_folder_is_left_alone(tmp_path):
    folder, out = write_photos(tmp_path / "photos", 4), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "is not empty" in run("prepare", folder, out, "--size", "64", code=2)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    assert "nothing to go on with" in run("prepare", folder, out, "--size", "64", "--resume", code=2)
    run("prepare", folder, out, "--size", "64", "--force")
    before = shards(out)
    assert (out / "mine.txt").read_text() == "mine" and before
    assert "is not empty" in run("prepare", folder, out, "--size", "64", code=2)
    assert "is finished" in run("prepare", folder, out, "--size", "64", "--resume", code=2)
    run("prepare", folder, out, "--size", "64", "--force")
    assert shards(out) == before
    assert "file" in run("prepare", folder, out / "mine.txt", code=2)
    assert "there is no" in run("prepare", folder, tmp_path / "c", "--detector", tmp_path / "no.onnx", code=2)
    assert not (tmp_path / "c").exists()


def command(*arguments, **options):
    line = [sys.executable, "-m", "reaging.data.cli", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options)


def test_killed_in_the_middle_and_resumed_gives_the_same_shards(tmp_path):
    folder = write_photos(tmp_path / "photos", 36)
    run("prepare", folder, tmp_path / "straight", "--size", "64", "--shard-mb", "0.05")
    out = tmp_path / "out"
    options = ("--size", "64", "--shard-mb", "0.05", "--workers", "2")
    process = command("prepare", folder, out, *options)
    while process.poll() is None and not list((out / ".work").glob("0*.tar")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # the command and its workers
    assert process.wait() == -signal.SIGKILL, process.stdout.read().decode()
    assert not (out / "manifest.json").exists(), "nothing that looks whole"
    assert "another size" in run("prepare", folder, out, "--size", "96", "--shard-mb", "0.05", "--resume", code=2)
    resumed = command("prepare", folder, out, *options, "--resume")
    assert resumed.wait() == 0, resumed.stdout.read().decode()
    assert shards(out) == shards(tmp_path / "straight") and len(shards(out)) > 1
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "straight").iterdir()}
    assert (out / "report.html").read_bytes() == (tmp_path / "straight" / "report.html").read_bytes()


def test_many_pieces_go_through_a_few_workers(tmp_path, monkeypatch):
    from reaging.data.crops import Cutting
    from reaging.data.filters import Filters
    from reaging.data.prepare import prepare

    folder, how = write_photos(tmp_path / "photos", 20), Cutting(64, Filters())
    for workers in (1, 2):
        monkeypatch.setattr("reaging.data.prepare.PHOTOS", 2 if workers > 1 else 16)
        prepare(folder, tmp_path / str(workers), "csv", how, workers, progress=False)
    assert shards(tmp_path / "1") == shards(tmp_path / "2") and len(open_records([tmp_path / "2"])) == 20


def test_ctrl_c_keeps_what_is_done(tmp_path):
    folder, out = write_photos(tmp_path / "photos", 36), tmp_path / "out"
    process = command("prepare", folder, out, "--size", "64", "--workers", "1")
    while process.poll() is None and not list((out / ".work").glob("0*.tar")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[0].decode()
    assert process.returncode == 130 and "go on with --resume" in said and "Traceback" not in said
    assert "faces in 1 shards" in run("prepare", folder, out, "--size", "64", "--resume")


def test_a_full_disk_ends_in_one_line_and_can_be_gone_on_from(tmp_path):
    import resource

    folder, out = write_photos(tmp_path / "photos", 40), tmp_path / "out"
    limit = 60_000  # bytes to a file: a piece fits, the shard does not

    process = command(
        "prepare", folder, out, "--size", "64", "--workers", "1",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    said = process.communicate()[0].decode()
    assert process.returncode == 2 and "cannot write" in said and "free space" in said and "Traceback" not in said
    assert not [p for p in out.rglob("*") if ".part" in p.name] and not (out / "manifest.json").exists()
    assert "faces in 1 shards" in run("prepare", folder, out, "--size", "64", "--resume")


def parser_net(path, classes=19):
    """A parsing net that calls bright pixels skin (class 1) and dark ones background (class 0)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight, bias = np.zeros((classes, 3, 1, 1), np.float32), np.full(classes, -9, np.float32)
    weight[1], bias[0], bias[1] = 1, 0, 0
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "w", "b"], ["output"])],
        "parser",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 128, 128])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", classes, 128, 128])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_masks_of_a_parsing_net_reach_the_trainer(tmp_path):
    from reaging.export.pictures import read_pictures

    folder = write_photos(tmp_path / "photos", 4)
    run("prepare", folder, tmp_path / "out", "--size", "64", "--masks", parser_net(tmp_path / "parser.onnx"))
    records = open_records([tmp_path / "out"])
    assert len(records) == 4 and all(r.mask for r in records)
    faces = open_faces([tmp_path / "out"], 64, records[0].split)
    members = faces.identities[0]
    bright = [((faces.picture(i) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).sum(-1) > 0 for i in members]
    share = np.max([cv2.resize(b.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA) for b in bright], axis=0)
    mask = faces.mask(members[0])
    assert mask.shape == (16, 16) and np.abs(mask - share).mean() < 0.05 and 0.05 < mask.mean() < 0.95
    assert len(read_pictures(tmp_path / "out" / "shard-00000.tar")) == 4, "masks are not taken for pictures"
    wrong = parser_net(tmp_path / "wrong.onnx", 5)
    assert "face-parsing" in run("prepare", folder, tmp_path / "b", "--size", "64", "--masks", wrong, code=2)


def test_a_yunet_file_in_place_of_the_bundled_nets(tmp_path, yunet):
    folder = write_photos(tmp_path / "photos", 2)
    assert "2 faces" in run("prepare", folder, tmp_path / "out", "--size", "64", "--detector", yunet)


def test_inspect_counts_draws_and_measures(tmp_path):
    folder = write_photos(tmp_path / "photos", 8)
    run("prepare", folder, tmp_path / "out", "--size", "64")
    output = run("inspect", tmp_path / "out", "--sheet", tmp_path / "sheet.png", "--size", "64", "--speed")
    lines = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line}
    assert int(lines["train"][0]) + int(lines["test"][0]) == 8 and int(lines["train"][1]) + int(lines["test"][1]) == 4
    assert "5 to 70" in output and "pictures/s decoded" in output
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (1280, 1024, 3)


def test_what_was_prepared_trains(tmp_path):
    """From photos to a loss that goes down."""
    pytest.importorskip("torch")
    from reaging.training.cli import main as train

    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["file,age,identity,split"]
    for k in range(12):
        age = (5, 80)[k % 2]
        picture = photo(k).astype(np.float32) * ((1, 1, 1) if age == 5 else (0.5, 0.6, 1))  # the old are redder
        cv2.imwrite(str(folder / f"{k}.png"), picture.clip(0, 255).astype(np.uint8))
        rows.append(f"{k}.png,{age},p{k // 2},train")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    run("prepare", folder, tmp_path / "data", "--size", "64")
    options = ["--preset", "tiny", "--device", "cpu", "--threads", "1", "--set", "steps=40", "--set", "adv=0", "--set", "jitter=0"]
    result = CliRunner().invoke(train, [str(tmp_path / "data"), "--out", str(tmp_path / "run"), *options])
    assert result.exit_code == 0, result.output
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    first, last = np.mean([r["paired"] for r in log[:2]]), np.mean([r["paired"] for r in log[-2:]])
    assert last < 0.9 * first
