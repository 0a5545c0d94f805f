"""Every parser of ours as a function of bytes, with an input that it takes.

The property of all of them: a value or a ReagingError (or click's own error for an option), never another exception, never a hang.
"""

from __future__ import annotations

import atexit
import json
import shutil
import signal
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from onnx import helper, numpy_helper

from reaging.ages import parse_age
from reaging.benchmarks.compare import compare_reports
from reaging.benchmarks.curves import read_stage
from reaging.benchmarks.options import parse_sizes, positive
from reaging.benchmarks.report import read_json
from reaging.card import CARD_KEY, CROP_KEY, ModelCard
from reaging.data.archive import Span
from reaging.data.crops import Crop
from reaging.data.facegen import FaceGenerator
from reaging.data.filters import parse_filters
from reaging.data.layouts import LAYOUTS, Photo, read_layout
from reaging.data.measures import Measures
from reaging.data.pieces import keep_plan, read_piece, write_piece
from reaging.data.scenes import COLUMNS, _labelled
from reaging.data.shards import MANIFEST, manifest_shards, open_records
from reaging.data.synthesize import _read_person
from reaging.errors import ReagingError
from reaging.export.cli import _parse_batch
from reaging.export.pictures import _rows
from reaging.export.show import describe
from reaging.nets.frozen import FrozenNet
from reaging.presets import make_preset, preset_from_dict
from reaging.runtime.backends.engines import read_facts
from reaging.runtime.backends.modelfile import read_model
from reaging.runtime.cli import SizeType
from reaging.runtime.cuda.compile import _first_line, read_kernels
from reaging.runtime.sinks.synthetic import marked
from reaging.runtime.sinks.web import parse_address, trusted
from reaging.runtime.sweep import parse_sweep
from reaging.training.checkpoint import generator_of, load_checkpoint
from reaging.training.log import lines_before

PLACE = Path(tempfile.mkdtemp(prefix="reaging-fuzz-"))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)
CARD = ModelCard("generator", "tiny", (64, 64), parameters=3, macs=5, step=7, data="d", terms="t", note="n", version="1")
FACTS = {
    "card": json.loads(CARD.to_json()), "flavor": "tensorrt", "version": "10.1", "gpu": "g", "compute_capability": "8.6",
    "onnx_sha256": "00", "batch": [1, 1, 4], "precision": "fp32",
}  # fmt: skip
TABLE = b"file,age,identity,split\na.png,5,x,train\nb.png,70.5,,test\n"
PATIENCE_S = 5.0  # of processor time, for one input
FFHQ = b"image_number,age_group,age_group_confidence,gender,gender_confidence,head_pitch\n0,20-29,0.9,female,0.9,3\n1,70-120,x,,,\n"


@dataclass(frozen=True)
class Target:
    """A parser and what it takes."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def holds(name: str, data: bytes) -> None:
    """Runs one parser on one input; any exception that comes out is a finding."""
    try:
        TARGETS[name].run(data)
    except ReagingError as error:
        assert "\n" not in str(error) and error.what and error.expected and error.remedy
    except click.UsageError:
        pass


@contextmanager
def in_time(seconds: float = PATIENCE_S) -> Iterator[None]:
    """Fails where the block takes more processor time than that."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def text(data: bytes) -> str:
    """As the operating system hands an argument over: bytes that are no UTF-8 stay."""
    return data.decode("utf-8", "surrogateescape")


def _file(name: str, data: bytes) -> Path:
    path = PLACE / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _sidecar(data: bytes) -> object:
    engine = _file("m.engine", b"plan")
    _file("m.engine.json", data)
    return read_facts(engine)


def _manifest(data: bytes) -> object:
    return manifest_shards(_file(f"made/{MANIFEST}", data).parent)


def _labels(data: bytes) -> object:
    _file("photos/a.png", b"")
    return open_records([_file("photos/labels.csv", data).parent])


def _layout(layout: str, table: str, *pictures: str) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        for picture in pictures:
            _file(f"{layout}/{picture}", b"")
        return read_layout(_file(f"{layout}/{table}", data).parent, layout)

    return run


def _shard(data: bytes) -> object:
    return open_records([_file("shard.tar", data)])


def _source(data: bytes) -> object:
    return read_layout(_file("source.tar", data), "csv")


def _names(data: bytes) -> object:
    """File names, which two layouts read."""
    files = {line: Span(Path(line)) for line in text(data).split("\n")}
    return [LAYOUTS[layout](files, "s") for layout in ("utkface", "all-age-faces")]


def tar_of(**files: bytes) -> bytes:
    """A shard as reaging-data writes it."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return out.getvalue()


def model_file() -> bytes:
    """A whole ONNX file with a card, a weight, and another weight within a branch of a condition."""
    weight = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    branch = helper.make_graph([], "branch", [], [], [weight])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    model = helper.make_model(helper.make_graph([node], "g", [], [], [weight]))
    helper.set_model_props(model, {CARD_KEY: CARD.to_json()})
    return bytes(model.SerializeToString())


def pictures() -> tuple[bytes, ...]:
    """Small pictures of every kind that takes a mark, as OpenCV writes them."""
    kinds = ((".png", []), (".jpg", []), (".tif", []), (".webp", []), (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]))
    return tuple(cv2.imencode(suffix, np.full((6, 9, 3), 99, np.uint8), flags)[1].tobytes() for suffix, flags in kinds)


def _size(data: bytes) -> object:
    return SizeType().convert(text(data), None, None)


def _sizes(data: bytes) -> object:
    for parse in (parse_sizes, lambda t: positive("--n", t)):
        try:
            parse(text(data))
        except ReagingError:
            continue
    return None


def _batch(data: bytes) -> object:
    return _parse_batch(text(data))


def _changes(data: bytes) -> object:
    name, *changes = text(data).split("\n")
    return make_preset(name, changes)


def _preset(data: bytes) -> object:
    """The preset in a checkpoint, which torch has read by then: plain values, whatever they are."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return preset_from_dict(fields) if isinstance(fields, dict) else None


def _log(data: bytes) -> object:
    """A training's log, as a resumed run and as reaging-bench's curves read it."""
    path = _file("log.jsonl", data)
    return lines_before(path, 10), read_stage(str(path), 1)


def _crop_tables(data: bytes) -> object:
    """Tables of face crops: what the finder is trained with, and the pictures that an export is checked on."""
    labels = _rows(data, Path("shard"), "labels.csv")
    return labels, _labelled(data, "labels.csv", "train")


def _piece(data: bytes) -> object:
    return read_piece(_file("000000.tar", data), [Photo("a", Span(Path("a")), 5.0)])


def _ages(data: bytes) -> object:
    """The ages beside a piece of made people, which ``piece`` has written."""
    return _read_person(_file("people/000000.json", data).with_suffix(".tar"), 0)


def _plan(data: bytes) -> object:
    keep_plan(_file("work/plan.json", data).parent, {"settings": {"size": 3}})
    return None


def _described(data: bytes) -> object:
    _file("shown.engine.json", data)
    return describe(_file("shown.engine", b"plan"))


def _stage(data: bytes) -> object:
    return read_stage(f"{_file('stage.jsonl', LOG)}:{text(data)}", 1)


def piece() -> bytes:
    """One photo that went through."""
    path = _file("people/000000.tar", b"")
    write_piece(path, [Crop("", Measures(*[1.0] * len(fields(Measures))), "00", landmarks=np.zeros((5, 2)), encoded=b"jpeg", mask=b"m")])
    return path.read_bytes()


def wheel() -> bytes:
    """A face generator's wheel with the beginning of a graph."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as file:  # not compressed: what is altered inside can still be read
        for name in ("MappingNetwork", "SynthesisNetwork"):
            file.writestr(f"random_face/data/{name}.xml", GRAPH)
            file.writestr(f"random_face/data/{name}.bin", bytes(8))
    return out.getvalue()


def judge() -> bytes:
    """A frozen net of two layers."""
    weight = numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], strides=[1, 1]), helper.make_node("Relu", ["a"], ["y"])]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("y", 1, None)], [weight]))
    helper.set_model_props(model, {CROP_KEY: "127.5,127.5,128,32"})
    return bytes(model.SerializeToString())


def _checkpoint(data: bytes) -> object:
    return generator_of(load_checkpoint(_file("checkpoint.pt", data)), "checkpoint.pt")


def checkpoints() -> tuple[bytes, ...]:
    """Whole ones, though without the weights that the network wants, in torch's two forms; only the older has no sums over its parts."""
    state = {"a.weight": torch.zeros(2), "a.bias": torch.ones(1, dtype=torch.float16)}
    content = {"format": 1, "version": "1", "preset": {"name": "tiny"}, "nets": {}, "optimizers": {}, "step": 1, "data": ""}
    forms = []
    for zipped in (True, False):
        file = BytesIO()
        torch.save({**content, "ema": {"generator": state}}, file, _use_new_zipfile_serialization=zipped)
        forms.append(file.getvalue())
    return tuple(forms)


def _report(data: bytes) -> object:
    report = read_json(_file("report.json", data))
    return compare_reports(report, report)


REPORT = json.dumps(
    {"kind": "latency", "machine": {"cpu": "c"}, "ceilings": [{"threads": 1, "fp32_gflops": 3.0}],
     "cases": [{"model": "m", "backend": "ort", "threads": 1, "batch": 1, "size": 64, "wall_ms": {"p50": 3.0, "p95": 4.0},
                "round_medians_ms": [3.0, 3.1, 3.2, 3.0, 3.1]}]}
).encode()  # fmt: skip
LOG = b'{"step": 5, "l1": 0.5, "l1_of_input": 0.25}\n{"step": 10, "l1": 0.25}\n'
CROPS = f"file,age,split,{','.join(COLUMNS)}\na.png,5,train{',3.5' * len(COLUMNS)}\nb.png,x,test\n".encode()
GRAPH = """<net version="10"><layers>
<layer id="0" name="x" type="Parameter"/>
<layer id="1" name="w" type="Const"><data element_type="f32" offset="0" shape="1, 2" size="8"/></layer>
<layer id="2" name="m" type="MatMul"/><layer id="3" name="b" type="Add"/></layers>
<edges><edge from-layer="1" from-port="0" to-layer="2" to-port="1"/><edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>
<edge from-layer="1" from-port="0" to-layer="3" to-port="1"/></edges></net>"""
SMALL_TAR = tar_of(labels__csv=TABLE, a__png=b"p", b__png=b"q", a__mask=b"m")
TARGETS: dict[str, Target] = {
    # files
    "card": Target(lambda d: ModelCard.from_json(d.decode("utf-8", "replace")), (CARD.to_json().encode(),)),
    "sidecar": Target(_sidecar, (json.dumps(FACTS).encode(),)),
    "model": Target(lambda d: read_model(_file("m.onnx", d)), (model_file(),)),
    "manifest": Target(_manifest, (b'{"shards": [{"file": "shard-00000.tar", "bytes": 3}]}',)),
    "labels": Target(_labels, (TABLE, b"file,age\na.png,5\n")),
    "shard": Target(_shard, (SMALL_TAR,)),
    "source": Target(_source, (SMALL_TAR,)),
    "layout-csv": Target(_layout("csv", "labels.csv", "a.png", "b.png"), (TABLE,)),
    "layout-ffhq-aging": Target(_layout("ffhq-aging", "ffhq_aging_labels.csv", "00000.png", "00001.png"), (FFHQ,)),
    "layout-fairface": Target(
        _layout("fairface", "fairface_label_train.csv", "1.jpg"), (b"file,age,gender,race\ntrain/1.jpg,20-29,Male,x\n",)
    ),
    "layout-names": Target(_names, (b"26_1_0_20170116220224657.jpg\n00001A23.jpg\naligned/00002A103.jpg",)),
    "preset-in-checkpoint": Target(_preset, (b'{"name": "tiny", "size": 64, "widths": [8, 16], "batch": 8}',)),
    "checkpoint": Target(_checkpoint, (*checkpoints(), b"\x80\x02}q\x00.")),
    "report": Target(_report, (REPORT,)),
    "mark": Target(lambda d: [marked(d, suffix) for suffix in (".png", ".jpg", ".webp", ".tif")], pictures()),
    "log": Target(_log, (LOG,)),
    "crop-tables": Target(_crop_tables, (CROPS,)),
    "piece": Target(_piece, (piece(),)),
    "ages-of-a-piece": Target(_ages, (b'[{"age": 70.5, "estimates": [69.0, 71.5], "alpha": 1.5}]',)),
    "plan": Target(_plan, (b'{"settings": {"size": 3}}', b'{"settings": {"size": 4}, "photos": 3}')),
    "kernels": Target(lambda d: read_kernels(_file("m.kernels", d)), (_first_line("sm_75", b"code") + b"code",)),
    "described-engine": Target(_described, (json.dumps(FACTS).encode(),)),
    "judge": Target(lambda d: FrozenNet(_file("judge.onnx", d)), (judge(),)),
    "face-generator": Target(lambda d: FaceGenerator(_file("generator.whl", d)), (wheel(),)),
    # options
    "sweep": Target(lambda d: parse_sweep(text(d)), (b"5:80:6s",)),
    "set": Target(_changes, (b"tiny\nwidths=8,16\nlr=1e-3\nsize=64", b"finder\nlr=0.1", b"ragan-256\nname=x")),
    "filter": Target(lambda d: parse_filters(text(d).split("\n")), (b"off\nyaw=30\nblack=inf",)),
    "age": Target(lambda d: parse_age(text(d)), (b"70", b"nan")),
    "size": Target(_size, (b"640x480",)),
    "sizes": Target(_sizes, (b"640x480,1280x720", b"1,2")),
    "batch": Target(_batch, (b"1,1,4",)),
    "address": Target(lambda d: parse_address(text(d)), (b"http:8080", b"http:[::1]:80", b"http:localhost:9")),
    "stage": Target(_stage, (b"0", b"4:10")),
    "host-header": Target(lambda d: trusted(text(d), "127.0.0.1"), (b"localhost:80", b"[::1]:9")),
}
