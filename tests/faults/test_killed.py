"""kill -9 at random moments: what has its final name is whole, and going on gives what a straight run gives."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from faults import children
from faults.conftest import Fault
from faults.killing import Moment, kill, moments, start, straight
from faults.killing import end as well_ended
from portraits import write_photos
from procedural import write_faces

from reaging.runtime.sources import open_source

torch = pytest.importorskip("torch")
STEPS = 4


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, by its name and hash; TensorBoard has files of its own for every start."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.parent.name != "tensorboard"]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def difference(a: Path, b: Path) -> str:
    """Where two folders first differ."""
    for path in (b / name for name, digest in content(b).items() if content(a).get(name) != digest):
        one, other = (folder / path.relative_to(b) for folder in (a, b))
        if not one.is_file():
            return f"{one} is missing"
        x, y = one.read_bytes(), other.read_bytes()
        at = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
        return f"{one.name} from byte {at} on: {x[max(0, at - 200) : at + 60]!r} and {y[max(0, at - 200) : at + 60]!r}"
    return "one has more files"


def losses(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def weights(out: Path) -> dict[str, bytes]:
    saved = torch.load(out / "checkpoint.pt", weights_only=True)
    return {f"{kind} {k}": v.numpy().tobytes() for kind in ("nets", "ema") for net in saved[kind].values() for k, v in net.items()}


def test_training(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path) -> None:
    faces = write_faces(tmp_path / "faces")
    whole = tmp_path / "straight"
    took = straight(children.train, faces, whole, STEPS, says=says, folder=whole)
    for number, at in enumerate(moments(tries, took, rng)):
        out = tmp_path / f"run{number}"
        hit = kill(children.train, faces, out, STEPS, at=at, says=says, folder=out)
        fault.tried(hit)
        if rng.random() < 0.5:  # and the resumed run too
            kill(children.train, faces, out, STEPS, at=Moment(seconds=float(rng.uniform(0, took.seconds))), says=says, folder=out)
        well_ended(start(children.train, faces, out, STEPS, says=says), says)
        assert losses(out) == losses(whole), at
        assert weights(out) == weights(whole), at
        assert set(content(out)) == set(content(whole)), f"{at}: something was left, or is missing"
        fault.survived()


def prepare_arguments(photos: Path, out: Path, *more: str) -> list[str]:
    return ["prepare", str(photos), str(out), "--size", "64", "--shard-mb", "0.02", *more]


def go_on(photos: Path, out: Path, workers: int) -> list[str]:
    begun = (out / ".work" / "plan.json").is_file()
    return prepare_arguments(photos, out, "--workers", str(workers), "--resume" if begun else "--force")


def test_prepare(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path) -> None:
    """Every fifth with two workers, of which only the parent is killed: they may still write while the resumed run does."""
    photos = write_photos(tmp_path / "photos", 36)
    whole = tmp_path / "straight"
    took = straight(children.data_command, prepare_arguments(photos, whole, "--workers", "1"), says=says, folder=whole)
    for number, at in enumerate(moments(tries, took, rng)):
        out, workers = tmp_path / f"run{number}", 2 if number % 5 == 4 else 1
        line = prepare_arguments(photos, out, "--workers", str(workers))
        fault.tried(kill(children.data_command, line, at=at, says=says, folder=out, group=workers == 1))
        if (out / "manifest.json").is_file() and not (out / ".work").exists():
            assert content(out) == content(whole), f"{at}: it says that it is finished"
        else:
            well_ended(start(children.data_command, go_on(photos, out, workers), says=says), says)
        assert content(out) == content(whole), at
        fault.survived()


def test_synthesize(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"stands for the generator's")
    whole = tmp_path / "straight"
    took = straight(children.synthesize, whole, source, 6, says=says, folder=whole)
    for number, at in enumerate(moments(tries, took, rng)):
        out = tmp_path / f"run{number}"
        fault.tried(kill(children.synthesize, out, source, 6, at=at, says=says, folder=out))
        well_ended(start(children.synthesize, out, source, 6, says=says), says)
        assert content(out) == content(whole), f"{at}: {difference(out, whole)}"
        fault.survived()


@pytest.fixture
def checkpoint(tmp_path: Path, says: Path) -> Path:
    """A trained tiny generator."""
    out = tmp_path / "trained"
    well_ended(start(children.train, write_faces(tmp_path / "few", people=4), out, 1, says=says), says)
    return out / "checkpoint.pt"


def visible(folder: Path) -> dict[str, str]:
    """What a user sees in a folder."""
    return {name: digest for name, digest in content(folder).items() if not Path(name).name.startswith(".")}


def test_export(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path, checkpoint: Path, tinting: Path) -> None:
    """Over an older model every second time: after the kill it is the old one or the new one."""
    from reaging.runtime.backends import open_backend

    whole = tmp_path / "straight"
    whole.mkdir()
    took = straight(children.export_command, [str(checkpoint), str(whole / "m.onnx")], says=says, folder=whole)
    new, old = content(whole)["m.onnx"], hashlib.sha256(tinting.read_bytes()).hexdigest()
    for number, at in enumerate(moments(tries, took, rng)):
        out = tmp_path / f"run{number}"
        out.mkdir()
        if number % 4 < 2:
            (out / "m.onnx").write_bytes(tinting.read_bytes())
        fault.tried(kill(children.export_command, [str(checkpoint), str(out / "m.onnx")], at=at, says=says, folder=out))
        left = visible(out)
        assert left in ({"m.onnx": new}, {"m.onnx": old} if number % 4 < 2 else {}), at
        if left:
            open_backend(out / "m.onnx", "cpu", 1)
        fault.survived()
    well_ended(start(children.export_command, [str(checkpoint), str(out / "m.onnx")], says=says), says)
    assert visible(out) == {"m.onnx": new}


def test_engine_build(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path, make_generator) -> None:
    """With a stand-in for TensorRT's builder; over the engine of another model every second time."""
    from reaging.runtime.backends.engines import read_facts

    builds = tmp_path / "builds"
    builds.mkdir()
    first, second = make_generator(tmp_path / "first.onnx"), make_generator(tmp_path / "second.onnx", size=32)
    whole = tmp_path / "straight"
    whole.mkdir()
    took = straight(children.build, second, whole / "m.engine", builds, 0.05, says=says, folder=whole)
    plans = {hashlib.sha256(model.read_bytes()).hexdigest(): b"plan of " + model.read_bytes() for model in (first, second)}
    for number, at in enumerate(moments(tries, took, rng)):
        out = tmp_path / f"run{number}"
        out.mkdir()
        if number % 4 < 2:
            well_ended(start(children.build, first, out / "m.engine", builds, 0.0, says=says), says)
        fault.tried(kill(children.build, second, out / "m.engine", builds, 0.05, at=at, says=says, folder=out))
        if (out / "m.engine").is_file():
            facts = read_facts(out / "m.engine")
            assert (out / "m.engine").read_bytes() == plans[facts.onnx_sha256], f"{at}: the description is another engine's"
        well_ended(start(children.build, second, out / "m.engine", builds, 0.0, says=says), says)
        assert visible(out) == visible(whole), at
        fault.survived()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_recording(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path, suffix: str) -> None:
    """Half of them while frames come, half while the file is being finished."""
    pytest.importorskip("av")
    length = 1.5
    whole = tmp_path / "straight"
    whole.mkdir()
    took = straight(children.record, whole / f"out{suffix}", length, says=says, folder=whole)
    for number, at in enumerate(moments(tries, took, rng)):
        out, words = tmp_path / f"run{number}", says.with_name(f"{number}.txt")
        out.mkdir()
        fault.tried(kill(children.record, out / f"out{suffix}", length, at=at, says=words, folder=out))
        written = [float(line) for line in words.read_text().split()] if words.exists() else []
        playable = [p for p in out.iterdir() if p.suffix == suffix and not p.name.startswith(".") and p.stat().st_size]
        if len(written) > 20:
            assert playable, f"{at}: {written[-1]:.1f} s were recorded and nothing is to be seen of them"
        for path in playable:
            if path.name == f"out{suffix}" or len(written) > 20:
                last = list(open_source(str(path)))[-1].time
                assert sum(time - written[0] > last + 0.001 for time in written) <= 20, f"{at}: more than a second's frames are lost"
        fault.survived()
