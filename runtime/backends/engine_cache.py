"""Engines that are built where they are used: once for each model, TensorRT and GPU, kept in the user's cache folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ...card import ModelCard
from ...errors import ReagingError
from ..cuda.driver import Gpu
from .engines import check_place, digest, read_facts, read_plan
from .modelfile import read_model

BATCH = (1, 1, 4)  # faces at once: least, tuned for, most


def cache_folder(kind: str) -> Path:
    """The user's folder for ``kind`` (engines, timing, kernels), made if needed; $REAGING_CACHE moves it.

    Raises ReagingError where it cannot be made.
    """
    own, general = os.environ.get("REAGING_CACHE"), os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    folder = (Path(own) if own else (Path(general) if general else Path.home() / ".cache") / "reaging") / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReagingError(
            f"cannot make the folder {folder} ({error.strerror})", "a writable cache folder", "set REAGING_CACHE to one"
        ) from None
    return folder


def engine_key(data: bytes, card: ModelCard, flavor: str, version: str, gpu: Gpu, batch: tuple[int, int, int] = BATCH) -> str:
    """Another one wherever an engine built before would not do: hexadecimal, 24 digits."""
    facts = (digest(data), flavor, version, gpu.name, gpu.capability, gpu.driver, batch, card.precision)
    return digest(json.dumps(facts).encode())[:24]


def cached_path(model: Path, flavor: str, version: str, gpu: Gpu) -> Path:
    """Where the engine of ``model`` lies in the cache, whether it is there or not."""
    data, card = read_model(model)
    return cache_folder("engines") / f"{model.stem}-{engine_key(data, card, flavor, version, gpu)}.engine"


def usable(engine: Path, version: str, gpu: Gpu) -> bool:
    """Whether the cache holds this engine whole; anything else is built again, since it is nobody's but the cache's."""
    try:
        facts = read_facts(engine)
        check_place(facts, engine, version, gpu)
        read_plan(facts, engine)
    except (ReagingError, OSError):
        return False
    return True
