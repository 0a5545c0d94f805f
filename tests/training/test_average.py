"""The mean of generators."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from checkpoints import tiny_checkpoint  # noqa: E402

from reaging.ages import CLASS_CENTERS  # noqa: E402
from reaging.training.average import main  # noqa: E402
from reaging.training.checkpoint import generator_from_checkpoint, load_checkpoint, write_checkpoint  # noqa: E402


def test_the_mean_lies_between(tmp_path: Path) -> None:
    a, b = tiny_checkpoint(tmp_path / "a.pt", 1.0, step=5), tiny_checkpoint(tmp_path / "b.pt", 2.0, step=7, ages=list(CLASS_CENTERS))
    result = CliRunner().invoke(main, [str(a), str(b), "--shares", "0.25,0.75", "--out", str(tmp_path / "c.pt")])
    assert result.exit_code == 0, result.output
    generator, _, step = generator_from_checkpoint(tmp_path / "c.pt")
    assert step == 7 and all(float(p.min()) == float(p.max()) == 1.75 for p in generator.parameters())
    assert "ages" not in load_checkpoint(tmp_path / "c.pt")  # those of one of them are not the mean's


@pytest.mark.parametrize("shares", ["1", "0.5,0.6", "a,b", "nan,nan", "-1,2", "0.5,0.5,0"])
def test_shares_must_fit(tmp_path: Path, shares: str) -> None:
    a = tiny_checkpoint(tmp_path / "a.pt", 1.0)
    result = CliRunner().invoke(main, [str(a), str(a), "--shares", shares, "--out", str(tmp_path / "c.pt")])
    assert result.exit_code == 2 and "sum to 1" in result.stderr and not (tmp_path / "c.pt").exists()


def test_other_networks_are_refused(tmp_path: Path) -> None:
    a, b = tiny_checkpoint(tmp_path / "a.pt", 1.0), tmp_path / "b.pt"
    content = load_checkpoint(a)
    del content["ema"]["generator"][next(iter(content["ema"]["generator"]))]
    write_checkpoint(b, content)
    result = CliRunner().invoke(main, [str(a), str(b), "--shares", "0.5,0.5", "--out", str(tmp_path / "c.pt")])
    assert result.exit_code == 2 and "different networks" in result.stderr
