"""What a file says of itself: an ONNX model, a checkpoint, or an engine with its sidecar."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..card import ModelCard
from ..errors import ReagingError


def describe(path: str | Path) -> list[str]:
    """A few lines for a terminal; raises ReagingError where the file is missing or not one of ours."""
    path = Path(path)
    if not path.is_file():
        raise ReagingError(f"there is no file {path}", "an ONNX model, a checkpoint or an engine", "check the path")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return _onnx(path)
    if suffix in (".engine", ".json"):
        return _engine(path)
    return _checkpoint(path)


def _onnx(path: Path) -> list[str]:
    import onnx

    from ..runtime.backends.modelfile import read_model

    data, card = read_model(path)
    graph = onnx.load_from_string(data).graph
    lines = [f"{path}: ONNX, {len(data):,} bytes, {len(graph.node)} nodes", *_card(card)]
    constants = {t.name for t in graph.initializer}
    lines += [f"input   {_tensor(v)}" for v in graph.input if v.name not in constants]
    return lines + [f"output  {_tensor(v)}" for v in graph.output]


def _engine(path: Path) -> list[str]:
    sidecar = path if path.suffix.lower() == ".json" else Path(f"{path}.json")
    try:
        fields: dict[str, Any] = json.loads(sidecar.read_text("utf-8"))
        card = ModelCard.from_json(json.dumps(fields.pop("card")), str(sidecar))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ReagingError(
            f"{sidecar} cannot be read ({error})", "the description beside an engine", "build it with reaging-export --engine"
        ) from None
    plan = sidecar.with_suffix("")
    size = f"{plan.stat().st_size:,} bytes" if plan.is_file() else "its plan is missing"
    return [f"{plan}: engine, {size}", *_card(card), *(f"{name}: {value}" for name, value in fields.items())]


def _checkpoint(path: Path) -> list[str]:
    from ..training.checkpoint import load_checkpoint

    content = load_checkpoint(path)
    lines = [f"{path}: checkpoint of {content['preset'].get('name')}, step {content['step']}, written by reaging {content['version']}"]
    for name, state in content["ema"].items():
        lines.append(f"net     {name}: {sum(t.numel() for t in state.values()):,} values (averaged weights)")
    if content["data"]:
        lines.append(f"data    {content['data']}")
    if "ages" in content:
        lines.append(f"ages    calibrated: {', '.join(f'{age:.1f}' for age in content['ages'])}")
    return lines + [f"preset  {field} = {value}" for field, value in content["preset"].items()]


def _card(card: ModelCard) -> list[str]:
    return [f"card    {name}: {value}" for name, value in dataclasses.asdict(card).items() if value not in ("", 0)]


def _tensor(value: Any) -> str:
    import onnx

    kind = value.type.tensor_type
    shape = ", ".join(d.dim_param or str(d.dim_value) for d in kind.shape.dim)
    return f"{value.name}  {onnx.TensorProto.DataType.Name(kind.elem_type).lower()} [{shape}]"
