"""The files that come with the package: generator, finder, aligner and the demo clip, all made by this project."""

from __future__ import annotations

from pathlib import Path

from ..errors import ReagingError

FOLDER = Path(__file__).parent / "models"
GENERATOR = "mobile-256.onnx"
NAMES = {
    "mobile": GENERATOR,
    "mobile-fp16": "mobile-256-fp16.onnx",
    "mobile-int8": "mobile-256-int8.onnx",
}  # bundled generators by the name that --model takes
DEMO = "demo.mp4"


def bundled(name: str) -> Path:
    """Path of a bundled file; raises ReagingError where this installation lacks it."""
    path = FOLDER / name
    if not path.is_file():
        raise ReagingError(f"the bundled file {name} is missing", f"it in {FOLDER}", "install reaging again, or name a file of your own")
    return path


def generator_path(model: str | Path | None = None) -> Path:
    """The file behind ``--model``: a bundled generator's name, a path, or nothing for the default."""
    return bundled(NAMES.get(str(model), GENERATOR)) if model is None or str(model) in NAMES else Path(model)
