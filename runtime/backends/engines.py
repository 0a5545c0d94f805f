"""What an engine file says of itself, and whether it fits: asked before TensorRT sees it."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections import deque
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...card import ModelCard
from ...errors import ReagingError
from ...files import whole_file
from ..cuda.driver import Gpu

FLAVORS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}  # flavor in the sidecar -> module


@dataclass(frozen=True)
class EngineFacts:
    """What ``NAME.engine.json`` says of the plan beside it."""

    card: ModelCard
    flavor: str
    version: str
    gpu: str
    compute_capability: str  # 8.9; of an RTX engine its targets: SM86,SM89
    driver: str  # of the machine that built it; empty where it needed none
    onnx_sha256: str
    plan_sha256: str
    batch: tuple[int, int, int]  # faces: least, the one it is tuned for, most
    precision: str
    workspace_mb: int
    level: int  # of optimization, 0 to 5


def engine_beside(path: str | Path) -> Path:
    """The engine that belongs to a model: the file itself, or the one with the same stem."""
    return Path(path).with_suffix(".engine")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_engine(engine: str | Path, plan: bytes, facts: EngineFacts) -> None:
    """Both files, each whole.  Killed between the two renames no plan is left beside another one's description."""
    engine = Path(engine)
    with whole_file(engine) as part, whole_file(f"{engine}.json") as sidecar:
        part.write_bytes(plan)
        sidecar.write_text(json.dumps(asdict(facts), indent=1), "utf-8")
        engine.unlink(missing_ok=True)


def read_facts(engine: Path) -> EngineFacts:
    """Raises ReagingError where the engine or its sidecar is missing or damaged."""
    if not engine.is_file() or not engine.stat().st_size:
        raise ReagingError(f"there is no engine {engine}", "a TensorRT engine", rebuild(engine))
    sidecar = Path(f"{engine}.json")
    try:
        fields = json.loads(sidecar.read_text("utf-8"))
        card = fields["card"] if isinstance(fields["card"], str) else json.dumps(fields["card"])
        low, best, high = (int(n) for n in fields["batch"])
        flavor = str(fields["flavor"]).lower().replace("_", "-")
        if not 1 <= low <= best <= high or flavor not in FLAVORS:
            raise ValueError(flavor)
        names = ("version", "gpu", "compute_capability", "driver", "onnx_sha256", "plan_sha256", "precision")
        text: dict[str, Any] = {name: str(fields[name]) for name in names}
        effort: dict[str, Any] = {name: int(fields[name]) for name in ("workspace_mb", "level")}
        return EngineFacts(card=ModelCard.from_json(card, str(sidecar)), flavor=flavor, batch=(low, best, high), **text, **effort)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ReagingError(f"{sidecar} is missing or damaged ({error})", "the description beside the engine", rebuild(engine)) from None


def read_plan(facts: EngineFacts, engine: Path) -> bytes:
    """The plan's bytes; ReagingError where they are not those that the sidecar describes."""
    plan = engine.read_bytes()
    if digest(plan) != facts.plan_sha256:
        raise ReagingError(f"{engine} is damaged, or not the one that its description is of", "the plan as built", rebuild(engine, facts))
    return plan


def check_source(facts: EngineFacts, engine: Path) -> None:
    """Raises ReagingError where the model beside the engine is another than the one it was built from."""
    model = engine.with_suffix(".onnx")
    if model.is_file() and digest(model.read_bytes()) != facts.onnx_sha256:
        raise ReagingError(f"{engine} was built from another {model.name}", "engine and model of one export", rebuild(engine, facts))


def check_place(facts: EngineFacts, engine: Path, version: str, gpu: Gpu) -> None:
    """Raises ReagingError where the engine is for another TensorRT or another GPU."""
    if version != facts.version:
        raise ReagingError(f"{engine} is for {facts.flavor} {facts.version}", f"one for {version}", rebuild(engine, facts))
    if facts.flavor == "tensorrt-rtx":  # portable between cards of its targets
        fits = target(gpu) in facts.compute_capability.split(",")
    else:
        fits = (facts.gpu, facts.compute_capability) == (gpu.name, gpu.capability)
    if not fits:
        raise ReagingError(
            f"{engine} is for {facts.gpu} ({facts.compute_capability})",
            f"one for {gpu.name} ({gpu.capability})",
            rebuild(engine, facts, gpu),
        )


def target(gpu: Gpu) -> str:
    """The GPU's name among TensorRT-RTX's targets, such as SM89."""
    return "SM" + gpu.capability.replace(".", "")


def rebuild(engine: Path, facts: EngineFacts | None = None, gpu: Gpu | None = None) -> str:
    """The one line that builds the engine again, for as many faces as before where that is known."""
    batch = "" if facts is None else " --batch {},{},{}".format(*facts.batch)
    targets = "" if gpu is None else f" (with TensorRT-RTX also --targets {target(gpu)})"
    return f"build it: reaging-export '{engine.with_suffix('.onnx')}' --engine '{engine}'{batch}{targets}"


def import_tensorrt(flavor: str | None = None) -> tuple[str, Any]:
    """Flavor and module: the one asked for, else the first that can be imported.  Raises ReagingError where there is none."""
    if flavor is not None and flavor not in FLAVORS:
        raise ReagingError(f"there is no TensorRT called {flavor!r}", f"one of {', '.join(FLAVORS)}", "choose one of them")
    reasons = []
    for name in [flavor] if flavor else list(FLAVORS):
        try:
            return name, importlib.import_module(FLAVORS[name])
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    raise ReagingError(
        f"no TensorRT can be imported ({'; '.join(reasons)})",
        f"the package {flavor or 'tensorrt or tensorrt-rtx'}",
        "pip install tensorrt-rtx (for GeForce and RTX cards), or tensorrt from NVIDIA's own package index (docs/gpu.md)",
    )


@cache
def log_of(trt: Any) -> Any:
    """The process's logger, whose ``lines`` keep warnings and errors: TensorRT stays with the first it is given."""

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=100)

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.WARNING:
                self.lines.append(text.strip())

    return Log()
