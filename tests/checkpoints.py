"""A checkpoint of a tiny generator, as small as one can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reaging.nets import build_generator
from reaging.presets import PRESETS
from reaging.training.checkpoint import write_checkpoint


def tiny_checkpoint(path: Path, fill: float | None = None, **fields: Any) -> Path:
    """Writes it with averaged weights alone, all of them ``fill`` where that is given; ``fields`` replace or join the content's."""
    state = build_generator(PRESETS["tiny"]).state_dict()
    if fill is not None:
        state = {k: v.new_full(v.shape, fill) if v.is_floating_point() else v for k, v in state.items()}
    content = {"format": 1, "version": "1", "preset": {"name": "tiny"}, "nets": {}, "optimizers": {}, "step": 1, "data": ""}
    write_checkpoint(path, {**content, "ema": {"generator": state}, **fields})
    return path
