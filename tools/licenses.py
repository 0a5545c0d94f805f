"""Writes the licences of all packages that this project asks for, and of those that they ask for, into THIRD_PARTY.md.

    python tools/licenses.py        # from what is installed: make test's environment has all but what needs a GPU

Each is taken from the package's own metadata; nothing is downloaded.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- written by tools/licenses.py: begin -->", "<!-- end -->"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# what cannot be installed everywhere, and what a package's metadata does not say: read in its own files
STATED = {
    "cuda-bindings": "Apache-2.0",
    "onnxruntime-gpu": "MIT",
    "pycuda": "MIT",
    "tensorrt": "proprietary (NVIDIA)",
    "tensorboard-data-server": "Apache-2.0",
}
REMARKS = {
    "av": "its wheels contain FFmpeg with x264 and x265: GPL",
    "opencv-python": "its wheels contain FFmpeg (LGPL-2.1) and Qt 5 (LGPL-3.0)",
    "pyvirtualcam": "optional; a program that is passed on together with it is under its terms",
}


def wanted() -> dict[str, set[str]]:
    """Each package that pyproject.toml names -> the extras that want it; ``base`` for all."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, set[str]] = {}
    for extra, requirements in groups.items():
        for requirement in requirements:
            if (name := normal(requirement)) != "reaging":
                found.setdefault(name, set()).add(extra)
    return found


def normal(requirement: str) -> str:
    """``Pillow>=11; python_version>'3'`` -> ``pillow``."""
    match = NAME.match(requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def beneath(names: Iterable[str]) -> set[str]:
    """What the packages ask for without an extra, and what that asks for, as far as it is installed."""
    queue, seen = list(names), set(names)
    while queue:
        package = installed(queue.pop())
        for requirement in (package.requires or []) if package else []:
            name = normal(requirement)
            if "extra ==" not in requirement and name not in seen and installed(name):
                seen.add(name)
                queue.append(name)
    return seen - set(names)


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def licence(name: str) -> str:
    """As the package's metadata states it: the expression, else the classifiers, else the first line of the licence field."""
    package = installed(name)
    if package is None or name in STATED:
        return STATED.get(name, "not installed, and not stated here")
    facts = package.metadata
    if expression := facts.get("License-Expression"):
        return str(expression)
    classes = [
        c.rpartition(" :: ")[2] for c in facts.get_all("Classifier") or [] if c.startswith("License :: ") and not c.endswith("Approved")
    ]
    first = (facts.get("License") or "").strip().splitlines()[:1]
    if classes:
        return ", ".join(classes)
    return first[0] if first and len(first[0]) < 60 else "not stated in its metadata"


def section() -> str:
    """The tables."""
    direct = wanted()
    lines = ["| package | wanted by | licence | |", "|---|---|---|---|"]
    lines += [f"| {name} | {', '.join(sorted(direct[name]))} | {licence(name)} | {REMARKS.get(name, '')} |" for name in sorted(direct)]
    lines += ["", "What these ask for in turn, in the environment of `make test`:", "", "| package | licence |", "|---|---|"]
    lines += [f"| {name} | {licence(name)} |" for name in sorted(beneath(direct))]
    return "\n".join(lines)


def main() -> None:
    path = ROOT / "THIRD_PARTY.md"
    text = path.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    path.write_text(f"{head}{BEGIN}\n\n{section()}\n\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
