"""Reading an ONNX file's card, and refusing files that are not whole, before any engine sees them.

The runtime needs no ``onnx`` package for this: a protobuf message is a row of (field, value), and only the few fields on the way to the
card and to the tensors are followed. The engines themselves resolve external data against the working directory, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...card import CARD_KEY, ModelCard
from ...errors import ReagingError

# message -> {field: message inside it}: every way to a tensor in onnx.proto
INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
METADATA, DATA_LOCATION, EXTERNAL_DATA = 14, 14, 13


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("varint")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Fields of one message as (number, integer or bytes); ValueError or IndexError where it is none."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            length, at = _varint(data, at)
        if not number or length is None or at + length > len(data):
            raise ValueError("field")
        yield number, data[at : at + length]
        at += length


def _has_external(data: memoryview, message: str) -> bool:
    for number, value in _fields(data):
        if message == "tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value == 1)):
            return True
        inside = INSIDE[message].get(number)
        if inside and isinstance(value, memoryview) and _has_external(value, inside):
            return True
    return False


def _card_text(model: memoryview) -> str | None:
    for number, value in _fields(model):
        if number == METADATA and isinstance(value, memoryview):
            entry = {n: bytes(v).decode() for n, v in _fields(value) if isinstance(v, memoryview)}
            if entry.get(1) == CARD_KEY:
                return entry.get(2, "")
    return None


def refuse_external(data: bytes, where: str) -> None:
    """Raises ReagingError where a model keeps weights in another file; what is no ONNX at all is left to the engine."""
    try:
        external = _has_external(memoryview(data), "model")
    except (ValueError, IndexError, RecursionError):
        return
    if external:
        raise ReagingError(f"{where} keeps its weights in another file", "one self-contained ONNX file", "save it as one file")


def read_model(path: str | Path) -> tuple[bytes, ModelCard]:
    """The bytes of a self-contained ONNX file and its card.

    Raises ReagingError where the file is missing, empty, no ONNX, keeps its weights in another file, or has no card.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReagingError(f"cannot read the model {path} ({error.strerror})", "an ONNX file", "check the name") from None
    refused = ReagingError(f"{path} is no ONNX model", "a file written by reaging-export", "name another file with --model")
    view = memoryview(data)
    try:
        if not any(number == 7 for number, _ in _fields(view)):  # no graph
            raise refused
        external, text = _has_external(view, "model"), _card_text(view)
    except (ValueError, IndexError, RecursionError):
        raise refused from None
    if external:
        raise ReagingError(
            f"{path} keeps its weights in another file", "one self-contained ONNX file", "export it again with reaging-export"
        )
    if text is None:
        raise ReagingError(f"{path} has no card", "a model written by reaging-export", "foreign ONNX models cannot be used")
    return data, ModelCard.from_json(text, str(path))
