"""The mean of generators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from reaging.ages import CLASS_CENTERS  # noqa: E402
from reaging.nets import build_generator  # noqa: E402
from reaging.presets import PRESETS  # noqa: E402
from reaging.training.average import main  # noqa: E402
from reaging.training.checkpoint import generator_from_checkpoint, load_checkpoint, write_checkpoint  # noqa: E402


def saved(path: Path, step: int, fill: float, **more: Any) -> Path:
    state = {k: torch.full_like(v, fill) if v.is_floating_point() else v for k, v in build_generator(PRESETS["tiny"]).state_dict().items()}
    content = {"format": 1, "version": "1", "preset": {"name": "tiny"}, "nets": {}, "optimizers": {}, "data": "d"}
    write_checkpoint(path, {**content, "ema": {"generator": state}, "step": step, **more})
    return path


def test_the_mean_lies_between(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "a.pt", 5, 1.0), saved(tmp_path / "b.pt", 7, 2.0, ages=list(CLASS_CENTERS))
    result = CliRunner().invoke(main, [str(a), str(b), "--shares", "0.25,0.75", "--out", str(tmp_path / "c.pt")])
    assert result.exit_code == 0, result.output
    generator, _, step = generator_from_checkpoint(tmp_path / "c.pt")
    assert step == 7 and all(float(p.min()) == float(p.max()) == 1.75 for p in generator.parameters())
    assert "ages" not in load_checkpoint(tmp_path / "c.pt")  # those of one of them are not the mean's


@pytest.mark.parametrize("shares", ["1", "0.5,0.6", "a,b", "nan,nan", "-1,2", "0.5,0.5,0"])
def test_shares_must_fit(tmp_path: Path, shares: str) -> None:
    a = saved(tmp_path / "a.pt", 5, 1.0)
    result = CliRunner().invoke(main, [str(a), str(a), "--shares", shares, "--out", str(tmp_path / "c.pt")])
    assert result.exit_code == 2 and "sum to 1" in result.stderr and not (tmp_path / "c.pt").exists()


def test_other_networks_are_refused(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "a.pt", 5, 1.0), tmp_path / "b.pt"
    content = load_checkpoint(a)
    del content["ema"]["generator"][next(iter(content["ema"]["generator"]))]
    write_checkpoint(b, content)
    result = CliRunner().invoke(main, [str(a), str(b), "--shares", "0.5,0.5", "--out", str(tmp_path / "c.pt")])
    assert result.exit_code == 2 and "different networks" in result.stderr
