"""Presets: every hyperparameter of a run in one frozen dataclass, and the named ones."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import ReagingError

WORDS = {"family": ("ragan", "mobile", "pix2pix"), "norm": ("batch", "none"), "disc": ("image", "features")}
SHARES = ("ema", "constant", "own", "singles", "jitter", "occlude", "degrade", "label_smoothing")
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("widths", "channels", "neck", "disc_width", "disc_max_width", "style", "code_repeat", "batch"), (1, 4096)),
    **dict.fromkeys(("lr", "disc_lr"), (1e-12, 1000)),
    **dict.fromkeys(SHARES, (0, 1)),
    **dict.fromkeys(("beta1", "beta2"), (0, 0.999999)),
    "bottleneck_blocks": (0, 64),
    "blocks": (0, 64),
    "size": (32, 1024),
    "seed": (0, 2**31),
}
OTHERWISE = (0, 1e9)
# frozen nets that the user brings -> the fields that want them, with the value that does not
NETS: dict[str, dict[str, Any]] = {
    "perceptual_net": {"perceptual": 0.0, "disc": "image"},
    "age_net": {"age": 0.0},
    "identity_net": {"identity": 0.0},
}


@dataclass(frozen=True)
class Preset:
    """A generator, its discriminator and the recipe that trains them.  The defaults are the paper's (ICCV 2021)."""

    name: str
    family: str = "ragan"  # ragan, mobile or pix2pix: which network of reaging.nets
    size: int = 256  # pixels, square
    # network
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)  # channels from the full resolution (mobile: a quarter of it) down
    bottleneck_blocks: int = 2  # residual blocks at the lowest resolution (ragan: in the encoder and again in the decoder)
    style: int = 512  # length of the vector that carries the age to the decoder
    norm: str = "batch"  # mobile: batch or none
    disc: str = "image"  # image, or features: of the perceptual net, whose steps it shares
    disc_width: int = 64
    disc_max_width: int = 512
    disc_crop: int = 0  # side of the random crop that the discriminator sees; 0: the whole image
    # age code, equation 1 of the paper
    code_repeat: int = 50
    code_noise: float = 0.2
    # losses of the paper
    adv: float = 1.0
    adv_from: int = 0  # step from which the adversarial loss counts
    rec: float = 10.0
    rec_late: float = 1.0
    rec_epochs: int = 10  # epochs with ``rec``; then ``rec_late``
    cyc: float = 1.0
    r1: float = 1.0
    r1_every: int = 1  # steps between R1 penalties; the penalty is multiplied by it
    # terms on top of the paper, zero unless a recipe wants them
    paired: float = 0.0
    keep_mouth: bool = False  # a pair's target has the mouth of its input: editors change the smile with the age
    own: float = 0.0  # share of the examples that ask for the age the face has; the target is then the input
    singles: float = 0.0  # share of the examples from people with one picture, where the data has people with more
    perceptual: float = 0.0
    perceptual_every: int = 1  # steps between uses of the perceptual net; the term is multiplied by it
    age: float = 0.0
    age_every: int = 1  # the same for the age and identity nets
    low: float = 0.0  # distance from the pair in low frequencies alone
    saturation: float = 0.0  # against colors stronger than the input's and the pair's
    darkening: float = 0.0  # against what is darker than the input and the pair, where the target age is lower
    shake: float = 0.0  # how far the crops of the age and identity nets wander, in shares of the picture's side
    unsettle: bool = False  # the age net sees flips, tints and patches of the input, never the same twice
    identity: float = 0.0
    mask: float = 0.0
    sparsity: float = 0.0
    tv: float = 0.0
    grid: float = 0.0  # against a pattern that repeats in every block of 4 pixels
    perceptual_net: str = ""  # ONNX file; these three are frozen nets that the user brings
    age_net: str = ""
    identity_net: str = ""
    perceptual_crop: int = 0  # side of what the perceptual net sees: a random crop, and in turn the whole image shrunk; 0: the whole image
    label_smoothing: float = 0.0
    # optimization
    lr: float = 1e-4
    disc_lr: float = 1e-4
    beta1: float = 0.0
    beta2: float = 0.99
    batch: int = 8
    epochs: float = 30.0
    steps: int = 0  # 0: from epochs and the size of the data
    warmup: int = 0
    constant: float = 2 / 3  # share of the run at full learning rate; then linear to zero
    ema: float = 0.999
    clip: float = 0.0  # largest gradient norm; 0: off
    seed: int = 0
    # augmentation
    jitter: float = 0.0  # strength 0 to 1 of the similarity jitter around the template
    occlude: float = 0.0  # probability that a hand or a thing is painted before the face
    degrade: float = 0.0  # probability that an input is degraded as a webcam would


MOBILE = Preset(
    name="mobile-256",
    family="mobile",
    widths=(48, 96, 128, 192),
    style=64,
    disc_width=16,
    disc_max_width=128,
    disc_crop=128,
    code_repeat=1,
    code_noise=0.05,
    adv=0.05,
    adv_from=2500,
    rec=0.0,
    rec_late=0.0,
    cyc=0.0,
    r1_every=16,
    paired=1.0,
    mask=0.1,
    lr=2e-3,
    disc_lr=4e-4,
    beta1=0.5,
    batch=8,
    steps=8000,
    warmup=100,
    constant=0.5,
    jitter=0.5,
    degrade=0.3,
)

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        # the paper takes its masks from a parser; without supervision ours closes, and reconstruction and cycle are perfect
        Preset(name="ragan-256", mask=1.0),
        MOBILE,
        dataclasses.replace(
            MOBILE, name="desktop-256", widths=(128, 256, 384, 448), bottleneck_blocks=3, style=256, disc_width=32, disc_max_width=256,
            disc_crop=0, lr=5e-4, batch=32, steps=60000, adv_from=5000,
        ),
        Preset(name="pix2pix-3", family="pix2pix", norm="batch", r1_every=1, label_smoothing=0.1, paired=1.0, batch=8),
        dataclasses.replace(
            MOBILE, name="tiny", size=64, widths=(8, 16), bottleneck_blocks=1, style=16, disc_width=8, disc_max_width=32, disc_crop=0,
            batch=8, steps=300, adv_from=0, warmup=10,
        ),
    )
}  # fmt: skip


def make_preset(name: str, changes: Iterable[str] = ()) -> Any:
    """The named preset with ``field=value`` changes; raises ReagingError for an unknown name, field or value."""
    from .nets.faces import FACE_PRESETS

    known: dict[str, Any] = {**PRESETS, **FACE_PRESETS}
    if name not in known:
        raise ReagingError(f"preset {name!r} is unknown", f"one of {', '.join(known)}", "choose one with --preset")
    preset = known[name]
    types = typing.get_type_hints(type(preset))
    values: dict[str, Any] = {}
    for change in changes:
        field, sign, text = change.partition("=")
        if not sign or field not in types or field == "name":
            names = ", ".join(f for f in types if f != "name")
            raise ReagingError(f"--set {change!r} is not usable", f"field=value with a field of {names}", "correct it")
        values[field] = _parse(field, text, types[field])
    chosen = check_preset(dataclasses.replace(preset, **values))
    for net, wants in NETS.items():
        reason = next((f"{field}={getattr(chosen, field)}" for field, off in wants.items() if getattr(chosen, field, off) != off), "")
        if reason and not getattr(chosen, net):
            raise ReagingError(f"{reason} needs a net to look through", f"its ONNX file in {net}", f"add --set {net}=FILE.onnx")
    return chosen


def preset_from_dict(fields: dict[str, Any]) -> Any:
    """The preset that a checkpoint was trained with, from its fields."""
    from .nets.faces import FACE_PRESETS

    name = str(fields.get("name"))
    base: Any = {**PRESETS, **FACE_PRESETS}.get(name)
    try:
        return check_preset(dataclasses.replace(base, **{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}))
    except TypeError:
        raise ReagingError(
            f"the preset {name!r} is unknown here", "a checkpoint of this version", "train again, or update reaging"
        ) from None


def check_preset(preset: Any) -> Any:
    """Returns the preset; raises ReagingError where a value is of another kind or makes no sense."""
    for field, kind in typing.get_type_hints(type(preset)).items():
        value = getattr(preset, field)
        low, high = RANGES.get(field, (1, 1e6) if field.endswith("_every") else OTHERWISE)
        expected, usable = _expected(field, kind, low, high), _is_of(kind, value)
        if usable and field in WORDS:
            usable = value in WORDS[field]
        elif usable and kind is not str:
            usable = all(low <= v <= high for v in (value if isinstance(value, tuple) else (value,)))
        if not usable:
            raise ReagingError(f"{field} {value!r} is {'unknown' if field in WORDS else 'not usable'}", expected, f"correct --set {field}=")
    if hasattr(preset, "widths"):
        step = 2 ** (len(preset.widths) + 1)
        if preset.size % step or len(preset.widths) < 2:
            what = f"size {preset.size} is not usable with {len(preset.widths)} widths"
            raise ReagingError(what, f"a multiple of {step}, and two widths or more", "correct --set size=")
    return preset


def _is_of(kind: Any, value: Any) -> bool:
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and bool(value) and all(type(v) is int for v in value)
    return type(value) in ((int, float) if kind is float else (kind,))


def _expected(field: str, kind: Any, low: float, high: float) -> str:
    if field in WORDS:
        return f"one of {', '.join(WORDS[field])}"
    if kind is str:
        return "text"
    numbers = "whole numbers" if typing.get_origin(kind) is tuple else "a whole number" if kind is int else "a number"
    return f"{numbers} from {low:g} to {high:g}"


def _parse(field: str, text: str, kind: Any) -> Any:
    try:
        if typing.get_origin(kind) is tuple:
            return tuple(int(part) for part in text.split(","))
        return {"0": False, "false": False, "1": True, "true": True}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise ReagingError(
            f"--set {field}={text!r} is not usable", f"a value of type {getattr(kind, '__name__', 'int,int,...')}", "correct it"
        ) from None
