"""One folder of good files and of everything that can be wrong with files: pictures, clips, models, checkpoints, data sets."""

from __future__ import annotations

import csv
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from conftest import tinting_generator
from onnx import helper, numpy_helper
from PIL import Image

from reaging.ages import CLASS_CENTERS
from reaging.card import CARD_KEY, ModelCard
from reaging.nets import build_generator
from reaging.presets import PRESETS
from reaging.runtime.bundled import DEMO, bundled
from reaging.runtime.sinks import open_sink
from reaging.runtime.sources import open_source
from reaging.training.checkpoint import save_checkpoint

CUTS = 40  # places at which each kind of file is cut off
TRUNCATED = ("photo.jpg", "photo.png", "photo.webp", "short.mp4", "tint.onnx", "good.pt", "faces.tar")
EMOJI, NEWLINE, SPACES = "süß 👵🏽.png", "two\nlines.png", "a photo of me.png"


def make_all(folder: Path, canary: Path) -> None:
    """Fills ``folder``; code in a file that is run by whoever opens it would make ``canary``."""
    frame = next(iter(open_source("demo"))).frame
    _pictures(folder, frame)
    _clips(folder, frame)
    _models(folder)
    _checkpoints(folder, canary)
    _data(folder, frame)
    _reports(folder)
    for name in TRUNCATED:
        cut_up(folder / name, folder / "cut")


def cut_name(name: str, number: int) -> str:
    return f"cut/{Path(name).stem}-{number:02d}{Path(name).suffix}"


def cut_up(path: Path, folder: Path) -> None:
    """The file cut off at forty places, from its first byte to four fifths of it: a clip may lose its last frame unseen."""
    folder.mkdir(exist_ok=True)
    whole = path.read_bytes()
    for number in range(CUTS):
        (folder.parent / cut_name(path.name, number)).write_bytes(whole[: 1 + int(len(whole) * 0.8 * number / (CUTS - 1))])


# pictures and clips


def _pictures(folder: Path, frame: np.ndarray) -> None:
    def save(name: str, picture: np.ndarray, *how: int) -> None:
        done, data = cv2.imencode(Path(name).suffix, picture, how)
        assert done
        (folder / name).write_bytes(data.tobytes())

    half = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for name in ("photo.png", "photo.jpg", "photo.webp", "photo.bmp", "photo.tif", EMOJI, NEWLINE, SPACES, "-dash.png", "12:30.png"):
        save(name, half)
    save("gray.png", half[..., 1])
    save("deep.png", half.astype(np.uint16) * 257)
    save("deep.tif", half.astype(np.uint16) * 257)
    save("alpha.png", np.dstack([half, np.full(half.shape[:2], 255, np.uint8)]))
    save("one.png", half[:1, :1])
    save("8k.jpg", cv2.resize(half, (7680, 4320)))
    Image.fromarray(half[..., ::-1]).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(half[..., ::-1]).convert("P").save(folder / "palette.png")
    small = [Image.fromarray(np.ascontiguousarray(half[..., ::-1])).rotate(a).resize((128, 128)) for a in (0, 2, 4)]
    for name in ("animated.gif", "animated.webp", "animated.png"):
        small[0].save(folder / name, save_all=True, append_images=small[1:], duration=100)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(half)[..., ::-1])).save(folder / "turned.jpg", exif=exif)
    (folder / "bomb.png").write_bytes(_bomb(30_000))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no picture " * 99)
    (folder / "program.png").write_bytes(b"\x7fELF" + bytes(range(256)) * 9)
    (folder / "zeros.png").write_bytes(bytes(10_000))
    (folder / "clip.png").write_bytes(bundled(DEMO).read_bytes())
    (folder / "folder.png").mkdir()
    (folder / "no pictures").mkdir()
    (folder / "some bad").mkdir()
    for name in ("1.png", "3.png"):
        save(f"some bad/{name}", half)
    (folder / "some bad" / "2.png").write_text("no picture")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "nowhere.png").symlink_to("gone.png")


def _bomb(side: int) -> bytes:
    """A PNG of side x side black pixels, a bit each: 100 kB that become gigabytes."""
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )


def _clips(folder: Path, frame: np.ndarray) -> None:
    whole = bundled(DEMO).read_bytes()
    for name in ("clip.mp4", "12:30.mp4", "süß 👵🏽.mp4", "two\nlines.mp4"):
        (folder / name).write_bytes(whole)
    with open_sink(str(folder / "short.mp4"), 10.0) as short:
        for number in range(8):
            short.write(np.roll(frame, 3 * number, 1)[::4, ::4], number / 10, "")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video " * 99)
    (folder / "zeros.mp4").write_bytes(bytes(10_000))
    (folder / "photo.mp4").write_bytes(cv2.imencode(".png", frame)[1].tobytes())
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nclip.mp4\n#EXT-X-ENDLIST\n")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    (folder / "session.mp4").write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n")
    (folder / "sound.mp4").write_bytes(_sound())


def _sound() -> bytes:
    """An MP4 that holds sound and no picture."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("aac", rate=8000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 8000
        out.mux(stream.encode(tone))
        out.mux(stream.encode(None))
    return file.getvalue()


# models


def _models(folder: Path) -> None:
    path = tinting_generator(folder / "tint.onnx")

    def variant(name: str, change: Callable[[onnx.ModelProto], object]) -> None:
        model = onnx.load(path)
        change(model)
        (folder / name).write_bytes(model.SerializeToString())

    def card(text: str) -> Callable[[onnx.ModelProto], object]:
        return lambda model: helper.set_model_props(model, {CARD_KEY: text})

    good = ModelCard("generator", "tinting", (64, 64)).to_json()
    variant("nocard.onnx", lambda model: helper.set_model_props(model, {}))
    variant("newer.onnx", card(good.replace('"format": 1', '"format": 99')))
    variant("finder-card.onnx", card(good.replace('"generator"', '"finder"')))
    for name, text in {
        "words": "a card", "list": "[]", "null": "null", "nested": "[" * 100_000, "endless": good.replace("[64, 64]", "[1e999, 64]"),
        "huge": good.replace("[64, 64]", "[1000000, 1000000]"), "flat": good.replace("[64, 64]", "[0, 0]"),
        "half": good[: len(good) // 2], "other-size": good.replace("[64, 64]", "[128, 128]"), "number": good.replace('"tinting"', "5"),
    }.items():  # fmt: skip
        variant(f"card-{name}.onnx", card(text))

    def rename(model: onnx.ModelProto, old: str, new: str) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.name = new if value.name == old else value.name
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    def constant(model: onnx.ModelProto, name: str, value: float) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), value), name))

    variant("opset99.onnx", lambda model: setattr(model.opset_import[0], "version", 99))
    variant("ir99.onnx", lambda model: setattr(model, "ir_version", 99))
    variant("domain.onnx", lambda model: setattr(model.graph.node[0], "domain", "org.example"))
    variant("operator.onnx", lambda model: setattr(model.graph.node[0], "op_type", "RunProgram"))
    variant("inputs.onnx", lambda model: rename(model, "age", "birthday"))
    variant("outputs.onnx", lambda model: rename(model, "mask", "alpha"))
    variant("doubles.onnx", lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", onnx.TensorProto.DOUBLE))
    variant("nan.onnx", lambda model: constant(model, "tint", np.nan))
    variant("nan-mask.onnx", lambda model: constant(model, "zero", np.nan))
    variant("infinite.onnx", lambda model: constant(model, "tint", np.inf))
    variant("division.onnx", lambda model: constant(model, "range", 0.0))
    variant("no-graph.onnx", lambda model: model.ClearField("graph"))
    variant("no-nodes.onnx", lambda model: model.graph.ClearField("node"))
    _elsewhere(folder, path)
    _judges(folder)
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text.onnx").write_text("no model " * 99)
    (folder / "folder.onnx").mkdir()
    (folder / "photo.onnx").write_bytes((folder / "photo.png").read_bytes())
    for name in ("lone", "sick", "foreign"):
        (folder / f"{name}.engine").write_bytes(b"vtrt" + bytes(999))
    (folder / "sick.engine.json").write_text('{"card": {}}')
    (folder / "foreign.engine.json").write_text("[]")


def _elsewhere(folder: Path, path: Path) -> None:
    """Models whose weights are said to lie in other files: beside them, above them, anywhere."""
    for name, location in (("beside", "secret.bin"), ("above", "../secret.bin"), ("anywhere", "/etc/passwd")):
        model = onnx.load(path)
        tensor = next(t for t in model.graph.initializer if t.name == "tint")
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    (folder / "secret.bin").write_bytes(bytes(1 << 16))


def _judges(folder: Path) -> None:
    """Frozen nets as benchmarks and losses take them: a good one, one without its crop, and one whose weights lie elsewhere."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["out"]),
    ]
    weights = numpy_helper.from_array(np.full((3, 1), 0.1, np.float32), "w")
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["n", 1])]
    graph = helper.make_graph(nodes, "judge", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "no-crop.onnx")
    helper.set_model_props(model, {"crop": "127.5,127.5,128,32"})
    onnx.save(model, folder / "judge.onnx")
    for name, crop in {"bad": "nan,1,1,-5", "endless": "127.5,127.5,128,inf", "worded": "middle"}.items():
        helper.set_model_props(model, {"crop": crop})
        onnx.save(model, folder / f"{name}-crop.onnx")
    helper.set_model_props(model, {"crop": "127.5,127.5,128,32"})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    (folder / "judge-beside.onnx").write_bytes(model.SerializeToString())


# checkpoints


class _Runs:
    """An object whose unpickling makes a file."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.canary), "w"))


def _checkpoints(folder: Path, canary: Path) -> None:
    preset = PRESETS["tiny"]
    torch.manual_seed(0)
    net = build_generator(preset)
    task = SimpleNamespace(preset=preset, nets={"generator": net}, ema={"generator": net}, optimizers={}, data_names="toy faces")
    save_checkpoint(folder / "good.pt", task, 7)
    content = torch.load(folder / "good.pt", weights_only=True)
    run = _Runs(canary)
    torch.save({**content, "data": run}, folder / "runs.pt")
    torch.save({**content, "nets": run}, folder / "runs-legacy.pt", _use_new_zipfile_serialization=False)
    (folder / "runs-plain.pt").write_bytes(pickle.dumps(run))
    (folder / "runs-protocol0.pt").write_bytes(pickle.dumps({**content, "step": run}, protocol=0))
    with zipfile.ZipFile(folder / "runs-zip.pt", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(run, protocol=2))
        file.writestr("archive/version", "3")
    with tarfile.open(folder / "runs-tar.pt", "w") as tar:
        for name in ("storages", "tensors", "pickle"):
            _member(tar, name, pickle.dumps(run, protocol=2))
    (folder / "empty.pt").write_bytes(b"")
    (folder / "text.pt").write_text("no checkpoint " * 99)
    (folder / "photo.pt").write_bytes((folder / "photo.png").read_bytes())
    (folder / "folder.pt").mkdir()
    torch.save({"weights": torch.zeros(3)}, folder / "foreign.pt")
    torch.save([1, 2, 3], folder / "list.pt")
    generator = content["ema"]["generator"]
    first = next(iter(generator))
    nan = {k: torch.full_like(v, float("nan")) if v.is_floating_point() else v for k, v in generator.items()}
    for name, fields in {
        "format": {"format": 99}, "no-preset": {"preset": None}, "unknown-preset": {"preset": {**content["preset"], "name": "huge"}},
        "foreign-field": {"preset": {**content["preset"], "speed": 5}}, "no-ema": {"ema": {}}, "ema-list": {"ema": [1]},
        "size-word": {"preset": {**content["preset"], "size": "big"}}, "size-huge": {"preset": {**content["preset"], "size": 1 << 20}},
        "widths-huge": {"preset": {**content["preset"], "widths": (1 << 16, 1 << 16)}},
        "widths-word": {"preset": {**content["preset"], "widths": "wide"}},
        "family": {"preset": {**content["preset"], "family": "gpt"}}, "step-word": {"step": "many"},
        "numbers": {"ema": {"generator": dict.fromkeys(generator, 1.0)}},
        "other-shape": {"ema": {"generator": {**generator, first: torch.zeros(1)}}},
        "nan": {"ema": {"generator": nan}}, "finder": {"preset": {"name": "finder"}, "ema": {"finder": {}}},
        "ages-word": {"ages": "all"}, "ages-few": {"ages": [10.0, 60.0]}, "ages-nan": {"ages": [float("nan"), *CLASS_CENTERS[1:]]},
        "ages-falling": {"ages": [*reversed(CLASS_CENTERS)]}, "ages-endless": {"ages": [*CLASS_CENTERS[:-1], float("inf")]},
    }.items():  # fmt: skip
        torch.save({**content, **fields}, folder / f"ck-{name}.pt")
    for name in ("good", "runs", "foreign"):  # as runs to be resumed
        (folder / f"run {name}").mkdir()
        (folder / f"run {name}" / "checkpoint.pt").write_bytes((folder / f"{name}.pt").read_bytes())


# data


def _member(tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(content)
    tar.addfile(member, io.BytesIO(content))


def _data(folder: Path, frame: np.ndarray) -> None:
    faces = {f"{k}.jpg": cv2.imencode(".jpg", cv2.resize(np.roll(frame, 9 * k, 1), (64, 64)))[1].tobytes() for k in range(8)}
    table = "file,age,identity,split\n" + "".join(f"{name},{10 * k + 5},p{k // 4},train\n" for k, name in enumerate(faces))

    def shard(name: str, text: str | bytes = table, files: dict[str, bytes] = faces) -> None:
        with tarfile.open(folder / name, "w") as tar:
            _member(tar, "labels.csv", text if isinstance(text, bytes) else text.encode())
            for member, content in files.items():
                _member(tar, member, content)

    def labelled(name: str, text: str | bytes) -> Path:
        (folder / name).mkdir()
        for file, content in faces.items():
            (folder / name / file).write_bytes(content)
        (folder / name / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / name

    head = "file,age\n"
    tables: dict[str, str | bytes] = {
        "empty": "", "head": head, "columns": "name,years\n0.jpg,5\n", "word": head + "0.jpg,old\n", "nan": head + "0.jpg,nan\n",
        "inf": head + "0.jpg,inf\n", "young": head + "0.jpg,-5\n", "old": head + "0.jpg,200\n", "gone": head + "gone.jpg,5\n",
        "climbs": head + "../photo.png,5\n", "absolute": head + "/etc/passwd,5\n", "quote": head + '"0.jpg,5\n', "short": head + "0.jpg\n",
        "binary": bytes(range(256)) * 4, "nul": head.encode() + b"0.jpg\0,5\n", "latin": "file,age\nm\xfcde.jpg,5\n".encode("latin-1"),
        "utf16": (head + "0.jpg,5\n").encode("utf-16"), "twice": head + "0.jpg,5\n0.jpg,60\n", "split": "file,age,split\n0.jpg,5,dev\n",
        "long": head + "x" * 200_000 + ",5\n", "semicolons": "file;age\n0.jpg;5\n", "test": "file,age,split\n0.jpg,5,test\n",
        "empty name": head + ",5\n",
    }  # fmt: skip
    shard("faces.tar")
    labelled("faces", table)
    for name, text in tables.items():
        shard(f"t-{name}.tar", text)
        labelled(f"d-{name}", text)
    shard("no-table.tar")
    with tarfile.open(folder / "no-table.tar", "w") as tar:
        _member(tar, "0.jpg", faces["0.jpg"])
    with tarfile.open(folder / "packed.tar", "w:gz") as tar:
        _member(tar, "labels.csv", table.encode())
    with tarfile.open(folder / "doubles.tar", "w") as tar:
        _member(tar, "labels.csv", (head + "0.jpg,5\n").encode())
        _member(tar, "0.jpg", faces["0.jpg"])
        _member(tar, "0.jpg", faces["1.jpg"])
    secret = str(folder / "photo.png")
    for name, member, kind, link in (
        ("symlink.tar", "a.jpg", tarfile.SYMTYPE, secret), ("hardlink.tar", "a.jpg", tarfile.LNKTYPE, "../photo.png"),
        ("climbing.tar", "../../a.jpg", tarfile.REGTYPE, ""), ("rooted.tar", "/tmp/a.jpg", tarfile.REGTYPE, ""),
        ("device.tar", "a.jpg", tarfile.CHRTYPE, ""), ("pipe.tar", "a.jpg", tarfile.FIFOTYPE, ""),
    ):  # fmt: skip
        with tarfile.open(folder / name, "w") as tar:
            _member(tar, "labels.csv", (head + "a.jpg,5\n").encode())
            _member(tar, member, faces["0.jpg"] if kind == tarfile.REGTYPE else b"", kind, link)
    shard("text-face.tar", "file,age,split\n0.jpg,5,train\n1.jpg,9,train\n", {"0.jpg": b"no picture", "1.jpg": b""})
    (folder / "empty.tar").write_bytes(b"")
    (folder / "text.tar").write_text("no tar " * 99)
    (folder / "nothing.tar").write_bytes(bytes(10_240))
    linked = labelled("linked", head + "a.jpg,5\n")
    (linked / "a.jpg").symlink_to(secret)
    for name, text in {
        "words": "no manifest", "list": "[]", "null": "null", "nested": "[" * 100_000,
        "climbs": '{"shards": [{"file": "../faces.tar", "bytes": 5}]}',
        "gone": '{"shards": [{"file": "shard-00000.tar", "bytes": 5}]}', "endless": '{"shards": [{"file": "a.tar", "bytes": 1e999}]}',
    }.items():  # fmt: skip
        (folder / f"m-{name}").mkdir()
        (folder / f"m-{name}" / "manifest.json").write_text(text)
    with (folder / "loose.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "age"], ["0.jpg", 5]])


def _reports(folder: Path) -> None:
    """What reaging-bench compare reads."""
    case = '{"model": "a", "backend": "ort", "wall_ms": {"p50": 5}, "round_medians_ms": [5, 5, 5, 5, 5]}'
    good = '{"kind": "latency", "machine": {"cpu": "x"}, "cases": [' + case + "]}"
    for name, text in {
        "good": good, "empty": "", "words": "no report", "list": "[]", "half": good[:40], "no-machine": '{"cases": []}',
        "nested": "[" * 100_000,
        "machine": good.replace('{"cpu": "x"}', "5"), "cases": good.replace("[" + case + "]", "5"), "case": good.replace(case, "5"),
        "no-times": good.replace('"wall_ms"', '"wall"'), "word-time": good.replace('{"p50": 5}', '{"p50": "slow"}'),
        "zero-time": good.replace("5", "0"), "no-rounds": good.replace("[5, 5, 5, 5, 5]", "[]"),
        "word-rounds": good.replace("[5, 5, 5, 5, 5]", '["a","b","c","d","e"]'),
    }.items():  # fmt: skip
        (folder / f"r-{name}.json").write_text(text)
    line = '{"step": 10, "l1": 0.1, "l1_of_input": 0.12, "age": 0.2}\n'
    for name, text in {  # logs, which reaging-bench curves reads
        "good": line + line.replace("10", "20"), "empty": "", "words": "no log", "list": "[]\n", "no-step": '{"l1": 5}\n',
        "word-step": line.replace("10", '"ten"'), "nested": "[" * 100_000, "nan-step": line.replace("10", "NaN"),
        "endless": line.replace("10", "1e999"), "nothing": '{"step": 10}\n',
    }.items():  # fmt: skip
        (folder / f"l-{name}.jsonl").write_text(text)
