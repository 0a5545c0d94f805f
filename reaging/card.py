"""ModelCard: what every artifact (ONNX file, engine, checkpoint) says of itself."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from .errors import ReagingError

CARD_KEY = "reaging"  # the key of the card's JSON in an ONNX file's metadata
CARD_FORMAT = 1


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
            if len(fields["size"]) != 2 or min(fields["size"]) < 1:
                raise ValueError("size")
            known = {f.name for f in dataclasses.fields(cls)}
            card = cls(**{k: v for k, v in fields.items() if k in known})
            newer = int(card.format) > CARD_FORMAT
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ReagingError(f"{where} carries a damaged card", "a card written by reaging-export", "export the model again") from None
        if newer:
            raise ReagingError(f"{where} has card format {card.format}", f"format {CARD_FORMAT} or older", "update reaging")
        return card
