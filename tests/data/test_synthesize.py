import csv
import json
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from portraits import photo

from reaging.data.cli import main
from reaging.data.shards import open_faces, open_records
from reaging.errors import ReagingError

torch = pytest.importorskip("torch")

from reaging.data.facegen import WHEEL, FaceGenerator, from_wavelets  # noqa: E402
from reaging.data.people import Person, _apart, age_direction, label_ages, rising  # noqa: E402
from reaging.data.synthesize import synthesize  # noqa: E402
from reaging.data.synthetic import STEPS, SyntheticFaces, open_synthetic  # noqa: E402


class Maker:
    """People from the tests' own photos in place of the generator's: person 1 has no face."""

    size, device = 128, SimpleNamespace(type="cpu")

    def __init__(self, stop_at=None):
        self.stop_at, self.asked, self.lock = stop_at, [], threading.Lock()

    def __call__(self, seed, k):
        if k == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(k)
        crop = cv2.resize(photo(2 * (seed + k))[0:224, 32:256], (self.size, self.size), interpolation=cv2.INTER_AREA)[:, :, ::-1]
        if k == 1:
            crop = np.full_like(crop, 90)
        ages = [8.0, 25.0, 70.0]
        return Person(
            [np.ascontiguousarray((crop * d).astype(np.uint8)) for d in (1.0, 0.9, 0.8)], ages, [[a] for a in ages], [-2.0, 0.0, 2.0]
        )


def make(out, maker, weights, **options):
    return synthesize(out, maker, weights, [], 4, seed=7, progress=False, **options)


def test_people_are_written_whole_and_an_interrupted_run_goes_on(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"x")
    straight, stopped = Maker(), Maker(stop_at=3)
    people, pictures, rate = make(tmp_path / "a", straight, weights)
    assert (people, pictures) == (4, 12) and rate > 0 and straight.asked == [0, 1, 2, 3, 4], "person 1 was replaced"
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "b", stopped, weights)
    with pytest.raises(ReagingError, match="not empty"):
        make(tmp_path / "b", Maker(), weights)
    rest = Maker()
    make(tmp_path / "b", rest, weights, resume=True)
    assert rest.asked == [3, 4], "what was done is not done again"
    for name in ("shard-00000.tar", "report.html", "dropped.csv", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    faces = open_records([tmp_path / "a"])
    assert {r.identity for r in faces} == {f"id/synthetic-7/{k}" for k in (0, 2, 3, 4)} and {r.age for r in faces} == {8, 25, 70}
    assert all(len({r.split for r in faces if r.identity == i}) == 1 for i in {r.identity for r in faces})
    with (tmp_path / "a" / "dropped.csv").open(newline="") as file:
        assert [(row["file"], row["reason"]) for row in csv.DictReader(file)] == [
            ("000001_0", "a person without a clear face at every age")
        ]
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["terms"].startswith("research")


def test_what_trains_from_the_generator_is_a_face_set(monkeypatch):
    maker = Maker()
    faces = SyntheticFaces(maker, 1000, seed=3, split="train")
    assert len(faces) == 1000 * STEPS and len(faces.identities) == 1000 and not maker.asked, "nobody is made before being asked for"
    members = faces.identities[12]
    assert members == list(range(12 * STEPS, 13 * STEPS))
    assert [faces.records[i].age for i in members[:4]] == [8, 25, 70, 8]
    assert faces.picture(members[0]).shape == (128, 128, 3) and faces.picture(members[0]).mean() > faces.picture(members[1]).mean()
    assert faces.mask(members[0]).shape == (32, 32) and maker.asked == [12], "one person is made once"
    assert not np.array_equal(faces.picture(members[0]), SyntheticFaces(maker, 1000, 3, "test").picture(members[0])), "held out: others"
    monkeypatch.setattr("reaging.data.synthetic.KEPT", 3)
    for k in range(6):
        faces.person(k)
    assert len(faces._kept) == 3, "memory stays bounded"


def test_a_training_step_takes_them():
    from reaging.presets import make_preset
    from reaging.training.step import GeneratorTask

    preset = make_preset("tiny", ["batch=4", "size=128"])
    task = GeneratorTask(preset, SyntheticFaces(Maker(), 40, 0, "train"), None, 2)
    batch = task.batch(0)
    assert batch.image.shape == (4, 3, 128, 128) and float(batch.has_pair.mean()) == 1 and float(batch.has_mask.mean()) == 1
    assert all(np.isfinite(v) for v in task.step(batch, 0).values())


@pytest.mark.parametrize(("text", "says"), [("", "no age net"), ("seed=x,age-model=a.onnx", "whole numbers"), ("size=3", "size=3")])
def test_a_wrong_source_is_named(text, says):
    with pytest.raises(ReagingError, match=says):
        open_synthetic(text, 64, "train")
    with pytest.raises(ReagingError, match=says):
        open_faces([f"synthetic:{text}"], 64)


def test_the_terms_come_first_and_wrong_weights_are_named(tmp_path):
    (tmp_path / "w.whl").write_bytes(b"no wheel")
    age = tmp_path / "age.onnx"
    for weights in (tmp_path / "w.whl", tmp_path, tmp_path / "missing"):
        line = ["synthesize", str(tmp_path / "out"), "--identities", "1", "--age-model", str(age), "--weights", str(weights)]
        result = CliRunner().invoke(main, line)
        assert result.exit_code == 2 and "research and evaluation only" in result.output and "wheel" in result.output.splitlines()[-1]
        assert result.output.index("non-commercial") < result.output.index("reaging" if "reaging:" in result.output else "expected")
    assert not (tmp_path / "out").exists()


def test_labels_rise_along_a_path():
    assert rising(np.array([3.0, 1.0, 2.0, 8.0, 7.0])).tolist() == [2, 2, 2, 7.5, 7.5]
    ages = label_ages(np.array([10.0, 9.0, 40.0]), np.array([8.0, 12.0, 44.0]))
    assert np.allclose(ages, [0.6 * 9.5 + 0.4 * 8, 0.6 * 9.5 + 0.4 * 12, 0.6 * 40 + 0.4 * 44]) and (np.diff(ages) > 0).all()
    assert _apart(np.array([-5.3, -5.2, -0.1, 0.0, 0.2, 4.8])).tolist() == [-5.3, 0.0, 4.8]
    d = age_direction()
    assert abs(np.linalg.norm(d.along) - 1) < 1e-4 and (np.diff(d.ages) > 0).all() and abs(d.alpha(float(d.age(1.0))) - 1) < 1e-6


def test_haar_bands_become_a_picture():
    """Against the transform forward, written with plain slices."""
    picture = torch.rand(2, 3, 8, 8)
    a, b, c, d = picture[..., ::2, ::2], picture[..., ::2, 1::2], picture[..., 1::2, ::2], picture[..., 1::2, 1::2]
    detail = torch.stack([(a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2], 2).flatten(1, 2)
    assert torch.allclose(from_wavelets(torch.cat([(a + b + c + d) / 2, detail], 1)), picture, atol=1e-6)


def test_the_generator_equals_openvino_on_the_published_files(tmp_path):
    """Where 'reaging-data synthesize' has fetched the generator's weights already."""
    import zipfile
    from pathlib import Path

    ov = pytest.importorskip("openvino")
    wheel = Path.home() / ".cache" / "reaging" / WHEEL
    if not wheel.is_file():
        pytest.skip("the generator's weights are not in the cache; reaging-data synthesize fetches them")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    generator = FaceGenerator(wheel)
    w = generator.map(torch.randn(1, 512, generator=torch.Generator().manual_seed(1)))
    network = ov.Core().compile_model(tmp_path / "random_face/data/SynthesisNetwork.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = network([w.numpy()])[0]
    assert np.abs(generator(w, 1024).numpy() - expected).max() < 1e-3 and expected.std() > 0.1
    assert torch.allclose(generator(w, 256), torch.nn.functional.avg_pool2d(torch.from_numpy(expected), 4), atol=1e-3)
