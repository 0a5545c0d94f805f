"""Opening one of the two face networks in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...card import ModelCard
from ...errors import ReagingError
from ..backends.modelfile import read_model
from ..backends.ort import open_session
from ..bundled import bundled


def open_face_model(path: Path | str | None, kind: str, threads: int) -> tuple[Any, ModelCard]:
    """An ``onnxruntime.InferenceSession`` on the CPU and the model's card; ``path`` None means the bundled model of that kind.

    Raises ReagingError where ONNX Runtime or the file is missing, or the file is no such model of this project.
    """
    path = bundled(f"{kind}.onnx") if path is None else Path(path)
    data, card = read_model(path)
    if card.kind != kind:
        raise ReagingError(f"{path} is a {card.kind}", f"a {kind}", f"name a {kind} that reaging-export wrote")
    return open_session(data, str(path), "cpu", threads), card
