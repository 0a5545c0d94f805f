"""The trainer keeps its promises: it learns, resumes exactly, stops at NaN, and two processes do what one does."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from procedural import write_faces

from reaging.data.shards import open_faces
from reaging.errors import ReagingError
from reaging.presets import PRESETS, make_preset
from reaging.training.checkpoint import generator_from_checkpoint, load_checkpoint, write_checkpoint
from reaging.training.cli import main
from reaging.training.loop import train
from reaging.training.step import GeneratorTask, learning_rate

TINY = dataclasses.replace(PRESETS["tiny"], batch=4)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    return write_faces(tmp_path_factory.mktemp("data") / "faces")


def task_on(faces: Path, preset=TINY, steps: int = 20) -> GeneratorTask:
    return GeneratorTask(preset, open_faces([faces], preset.size), open_faces([faces], preset.size, "test"), steps)


def log_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def run(task: GeneratorTask, out: Path, steps: int, **options) -> int:
    return train(task, out, steps, log_every=1, sample_every=1000, progress=False, **options)


def test_it_learns_more_than_to_return_its_input(faces, tmp_path):
    preset = dataclasses.replace(TINY, adv=0.0, batch=8, jitter=0.0, degrade=0.0)
    run(task_on(faces, preset, 150), tmp_path, 150)
    log = log_of(tmp_path)[-30:]
    mean = {k: sum(line[k] for line in log) / len(log) for k in ("l1", "l1_of_input")}
    assert mean["l1"] < 0.8 * mean["l1_of_input"]
    sheet = cv2.imread(str(tmp_path / "samples" / "0000150.png"))
    assert sheet.shape == (3 * 64, 8 * 64, 3)  # three held-out people, input + six ages + mask


@pytest.mark.parametrize(
    "preset",
    [
        TINY,
        dataclasses.replace(
            TINY, name="ragan-256", family="ragan", widths=(4, 8, 8, 8, 8), rec=10.0, rec_late=1.0, cyc=1.0, paired=0.0, mask=0.0
        ),
        dataclasses.replace(PRESETS["pix2pix-3"], size=32, batch=2, sparsity=0.1, tv=0.1),
    ],
    ids=["mobile", "ragan", "pix2pix"],
)
def test_a_resumed_run_is_the_straight_run(faces, tmp_path, preset):
    run(task_on(faces, preset), tmp_path / "straight", 6)
    run(task_on(faces, preset), tmp_path / "cut", 3)
    run(task_on(faces, preset), tmp_path / "cut", 6, resume=True)
    straight, cut = log_of(tmp_path / "straight"), log_of(tmp_path / "cut")
    assert [line["step"] for line in cut] == [1, 2, 3, 4, 5, 6]
    assert straight == cut
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("straight", "cut"))
    assert all(torch.equal(v, b["ema"]["generator"][k]) for k, v in a["ema"]["generator"].items())


def test_ragan_uses_every_loss_of_the_paper(faces, tmp_path):
    preset = dataclasses.replace(PRESETS["ragan-256"], size=64, widths=(4, 8, 8, 8, 8), style=8, disc_width=4, disc_max_width=8, batch=2)
    run(task_on(faces, preset), tmp_path, 1)
    assert {"adv", "rec", "cyc", "disc", "r1"} <= log_of(tmp_path)[0].keys()


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(faces, tmp_path):
    run(task_on(faces), tmp_path, 2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    task = task_on(faces)
    step = task.step
    task.step = lambda batch, i: step(batch, i) | ({"paired": float("nan")} if i == 4 else {})
    with pytest.raises(ReagingError, match="paired became NaN or infinite at step 4"):
        run(task, tmp_path, 8, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_an_interrupted_run_is_saved(faces, tmp_path):
    task = task_on(faces)
    step = task.step

    def interrupted(batch, i):
        if i == 3:
            raise KeyboardInterrupt
        return step(batch, i)

    task.step = interrupted
    assert run(task, tmp_path, 8) == 3
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3
    generator, preset, at = generator_from_checkpoint(tmp_path / "checkpoint.pt")
    assert (preset, at) == (TINY, 3) and not generator.training


def test_two_processes_do_what_one_does(faces, tmp_path):
    """torchrun and DistributedDataParallel over gloo; without BatchNorm, whose statistics are each process's own."""
    command = ["reaging.training.cli", str(faces), "--preset", "tiny", "--device", "cpu", "--threads", "1"]
    for change in ("norm=none", "batch=4", "steps=4", "lr=0.001"):
        command += ["--set", change]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    one = [sys.executable, "-m", *command, "--out", str(tmp_path / "one")]
    two = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--master-port=29611",
        "-m",
        *command,
        "--out",
        str(tmp_path / "two"),
    ]
    for call in (one, two):
        done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("one", "two"))
    start = task_on(faces, make_preset("tiny", ["norm=none", "batch=4"])).nets
    for net in ("generator", "discriminator"):
        initial = start[net].state_dict()
        for k, v in a["nets"][net].items():
            moved = float((v - initial[k]).abs().max())
            assert float((v - b["nets"][net][k]).abs().max()) <= 0.02 * moved + 1e-6, (net, k)


def test_the_learning_rate_is_constant_then_linear_to_zero():
    preset = dataclasses.replace(TINY, warmup=10, constant=2 / 3)
    rates = [learning_rate(preset, s, 300, 1.0) for s in range(300)]
    assert rates[0] == 0.1 and rates[10] == rates[199] == 1.0
    assert rates[250] == pytest.approx(0.5) and 0 < rates[299] < 0.02


def write_judge(path: Path) -> str:
    """An "age" net: the darker, the older."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array((-torch.ones(3, 1) * 20 / 255).numpy(), "w")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["years"]),
    ]
    graph = helper.make_graph(
        nodes, "age", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("years", TensorProto.FLOAT, ["n", 1])], [weights],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.metadata_props.add(key="crop", value="127.5,140,128,32")
    onnx.save(model, path)
    return str(path)


def test_frozen_nets_judge_the_output(faces, tmp_path):
    """With a frozen net in the losses, its term is logged, has a gradient, and falls."""
    net = write_judge(tmp_path / "age.onnx")
    preset = dataclasses.replace(
        TINY, adv=0.0, age=1.0, age_net=net, shake=0.02, unsettle=True, identity=0.1, identity_net=net, paired=0.0, low=0.1, mask=0.0
    )
    run(task_on(faces, preset, 60), tmp_path / "run", 60)
    log = log_of(tmp_path / "run")
    first, last = (sum(line["age"] for line in part) / 10 for part in (log[:10], log[-10:]))
    assert last < first and {"identity", "low"} <= log[0].keys()


def test_an_own_age_is_not_left_to_the_age_net(faces, tmp_path):
    preset = dataclasses.replace(TINY, adv=0.0, age=1.0, age_net=write_judge(tmp_path / "age.onnx"), own=1.0, paired=1.0)
    run(task_on(faces, preset, 2), tmp_path / "run", 2)
    assert [line["age"] for line in log_of(tmp_path / "run")] == [0.0, 0.0]


def write_taps(path: Path) -> str:
    """A "perceptual net" with two taps: the picture averaged over 4 and over 16 pixels."""
    from onnx import TensorProto, helper, save

    nodes = [
        helper.make_node("AveragePool", ["x"], ["fine"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("AveragePool", ["fine"], ["coarse"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "i", "j"]) for name in ("fine", "coarse")]
    graph = helper.make_graph(nodes, "taps", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])], outputs)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return str(path)


def test_a_discriminator_on_features_shares_the_perceptual_steps_and_resumes(faces, tmp_path):
    net = write_taps(tmp_path / "taps.onnx")
    preset = dataclasses.replace(
        TINY, disc="features", adv=0.05, disc_lr=1e-2, perceptual=0.2, perceptual_net=net, perceptual_crop=32, perceptual_every=2
    )
    run(task_on(faces, preset, 12), tmp_path / "straight", 12)
    log = log_of(tmp_path / "straight")
    assert ["adv" in line for line in log[:4]] == [True, False, True, False], "in the perceptual net's steps only"
    assert all({"disc", "disc_wrong", "real_logit"} <= line.keys() for line in log if "adv" in line)
    run(task_on(faces, preset, 12), tmp_path / "cut", 5)
    run(task_on(faces, preset, 12), tmp_path / "cut", 12, resume=True)
    assert log_of(tmp_path / "cut") == log


def test_singles_and_own_ages_are_drawn_as_often_as_asked(tmp_path):
    many, single = write_faces(tmp_path / "many"), tmp_path / "single"
    single.mkdir()
    lines = ["file,age,identity"]
    for k, picture in enumerate(sorted(many.glob("*.png"))[:4]):
        (single / f"{k}.png").write_bytes(picture.read_bytes())
        lines.append(f"{k}.png,{20 + k},one{k}")
    (single / "labels.csv").write_text("\n".join(lines))
    preset = dataclasses.replace(TINY, singles=0.5, own=0.2)
    task = GeneratorTask(preset, open_faces([many, single], preset.size), None, 10)
    rng = torch.Generator().manual_seed(0)
    rows = [task._example(np.random.default_rng(int(torch.randint(1 << 30, (1,), generator=rng)))) for _ in range(400)]
    age, target_age, paired = (np.array([row[i] for row in rows]) for i in (1, 3, 4))
    own = (age == target_age) & (paired == 1)
    assert 0.12 < own.mean() < 0.28
    assert 0.3 < (paired == 0).mean() < 0.5  # half are people with one picture, of whom a fifth ask for their own age


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--preset", "huge"], "preset 'huge' is unknown"),
        (["--set", "speed=3"], "--set 'speed=3' is not usable"),
        (["--set", "lr=fast"], "--set lr='fast' is not usable"),
        (["--set", "lr=nan"], "lr nan is not usable"),
        (["--set", "size=100"], "size 100 is not usable"),
        (["--set", "batch=0"], "batch 0 is not usable"),
        (["--set", "disc=none"], "disc 'none' is unknown"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--set", "age=1", "--set", "age_net=nowhere.onnx"], "nowhere.onnx is not a readable ONNX file"),
        (["--resume"], "checkpoint.pt is not there"),
    ],
)
def test_wrong_options_end_in_one_line(faces, tmp_path, arguments, says):
    result = CliRunner().invoke(main, [str(faces), "--preset", "tiny", "--out", str(tmp_path / "run"), *arguments])
    assert result.exit_code == 2 and says in result.output and len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_named_device_that_is_not_there_is_an_error(faces, tmp_path):
    result = CliRunner().invoke(main, [str(faces), "--preset", "tiny", "--out", str(tmp_path / "run"), "--device", "cuda"])
    assert result.exit_code == 2 and "no usable CUDA device" in result.output


def test_dry_run_prints_and_trains_nothing(faces, tmp_path):
    result = CliRunner().invoke(main, [str(faces), "--preset", "tiny", "--out", str(tmp_path / "run"), "--dry-run"])
    assert result.exit_code == 0 and not (tmp_path / "run").exists()
    for word in ("parameters", "GMAC", "memory", "steps"):
        assert word in result.output


def test_a_run_is_not_overwritten(faces, tmp_path):
    run(task_on(faces), tmp_path / "run", 1)
    result = CliRunner().invoke(main, [str(faces), "--preset", "tiny", "--out", str(tmp_path / "run")])
    assert result.exit_code == 2 and "holds a run already" in result.output


class Harm:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


@pytest.mark.parametrize("content", ["pickle", "text", "empty", "other keys", "truncated"])
def test_foreign_checkpoints_are_refused_and_never_run(tmp_path, content, monkeypatch, faces):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.pt"
    if content == "pickle":
        torch.save({"step": Harm()}, path)
    elif content == "other keys":
        torch.save({"model": torch.zeros(3)}, path)
    elif content == "truncated":
        run(task_on(faces), tmp_path, 1)
        path.write_bytes(path.read_bytes()[:-5000])
    else:
        path.write_bytes(b"hello" if content == "text" else b"")
    with pytest.raises(ReagingError, match="not a checkpoint of reaging"):
        load_checkpoint(path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "state", [{}, {"state": 1, "param_groups": 2}, {"state": [], "param_groups": [1]}, {"state": {}, "param_groups": []}]
)
def test_damaged_optimizers_are_refused(faces, tmp_path, state):
    run(task_on(faces), tmp_path, 1)
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    write_checkpoint(tmp_path / "checkpoint.pt", {**content, "optimizers": dict.fromkeys(content["optimizers"], state)})
    with pytest.raises(ReagingError, match="holds other networks"):
        run(task_on(faces), tmp_path, 2, resume=True)


def test_a_run_can_begin_from_anothers_generator(faces, tmp_path):
    run(task_on(faces), tmp_path / "first", 3)
    first = tmp_path / "first" / "checkpoint.pt"
    result = CliRunner().invoke(
        main,
        [str(faces), "--preset", "tiny", "--out", str(tmp_path / "second"), "--init", str(first), "--set", "steps=1", "--set", "lr=1e-9"],
    )
    assert result.exit_code == 0, result.output
    a, b = (generator_from_checkpoint(path)[0].state_dict() for path in (first, tmp_path / "second" / "checkpoint.pt"))
    assert all(torch.allclose(v, b[k], atol=1e-6) for k, v in a.items() if "running" not in k and "num_batches" not in k)
    wide = ["--set", "widths=8,24", "--out", str(tmp_path / "third")]
    result = CliRunner().invoke(main, [str(faces), "--preset", "tiny", "--init", str(first), *wide])
    assert result.exit_code == 2 and "choose another --init" in result.output
