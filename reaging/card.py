"""ModelCard: what every artifact (ONNX file, engine, checkpoint) says of itself."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from .errors import ReagingError

CARD_KEY = "reaging"  # the key of the card's JSON in an ONNX file's metadata
CARD_FORMAT = 1
CROP_KEY = "crop"  # of a judge: the square of a 256 px face that it looks at
LARGEST = 4096  # pixels: what a card asks for is allocated before the network is asked whether it takes it
KINDS = {
    **dict.fromkeys(("kind", "preset", "precision", "data", "terms", "note", "version"), str),
    **dict.fromkeys(("parameters", "macs", "step", "format"), int),
}


@dataclass(frozen=True)
class ModelCard:
    """One artifact: what it is, how it was made, what it may be used for."""

    kind: str  # generator, finder or aligner
    preset: str
    size: tuple[int, int]  # height, width of the network's input in pixels
    precision: str = "fp32"  # fp32, fp16 or int8: that of the weights; inputs and outputs are always float32
    parameters: int = 0
    macs: int = 0  # multiply-accumulates per face (finder: per frame)
    step: int = 0  # training steps behind these weights
    data: str = ""
    terms: str = ""
    note: str = ""
    float_layers: tuple[str, ...] = ()  # int8: the convolutions that stayed float32
    version: str = ""  # of the package that wrote it
    format: int = CARD_FORMAT

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str = "the model") -> ModelCard:
        """Raises ReagingError where the text is no card, or one of a later format."""
        try:
            fields = json.loads(text)
            fields["size"] = tuple(int(s) for s in fields["size"])
            fields["float_layers"] = tuple(str(name) for name in fields.get("float_layers", ()))
            if len(fields["size"]) != 2 or min(fields["size"]) < 1 or max(fields["size"]) > LARGEST:
                raise ValueError("size")
            known = {f.name for f in dataclasses.fields(cls)}
            card = cls(**{k: v for k, v in fields.items() if k in known})
            if any(type(getattr(card, name)) is not kind for name, kind in KINDS.items()):
                raise TypeError("a field of another type")
            newer = card.format > CARD_FORMAT
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            raise ReagingError(f"{where} carries a damaged card", "a card written by reaging-export", "export the model again") from None
        if newer:
            raise ReagingError(f"{where} has card format {card.format}", f"format {CARD_FORMAT} or older", "update reaging")
        return card


def parse_crop(text: str) -> tuple[float, float, float, int]:
    """``cx,cy,side,size`` of a judge: center and side of its square in pixels of a 256 px face, its input's side.  Raises ValueError."""
    cx, cy, side, size = (float(part) for part in text.split(","))
    if not (abs(cx) <= LARGEST and abs(cy) <= LARGEST and 0 < side <= LARGEST and 1 <= size <= LARGEST):
        raise ValueError(f"crop {text!r}")
    return cx, cy, side, int(size)
