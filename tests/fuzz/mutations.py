"""Inputs for the parsers: what they take with something in it replaced, and anything at all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

# what has broken parsers elsewhere: numbers that are none or too large, digits that int() refuses, names that no file can have, depth
TOKENS = [
    b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"9" * 5000, b"1_0", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", "²".encode(), "٣".encode(),
    b"../", b"/", b"a" * 300, b'"', b"[" * 3000, b'{"a":' * 3000, b",", b":", b"\n", b"\r", b"=", b"x", b"[]", b"{}", b"null",
    b"Infinity", b" ",
]  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from([10**400, "9" * 5000, "a\0b", 1e308, -1])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6
)


@st.composite
def altered(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed of which up to four stretches were replaced; JSON as JSON half of the time."""
    seed = draw(st.sampled_from(seeds))
    if draw(st.booleans()) and (tree := _tree(seed)) is not None:
        for _ in range(draw(st.integers(1, 3))):
            tree = _replaced(draw, tree)
        return json.dumps(tree).encode()
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, min(16, len(data) - at)))
        data[at : at + length] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
    return bytes(data)


def _tree(seed: bytes) -> Any:
    try:
        tree = json.loads(seed)
    except ValueError:
        return None
    return tree if isinstance(tree, dict | list) else None


def _replaced(draw: st.DrawFn, tree: Any) -> Any:
    """The tree with one branch, near the root or deep, in place of another value or missing."""
    if not isinstance(tree, dict | list) or not tree or draw(st.integers(0, 4)) == 0:
        return draw(VALUES)
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    key = draw(st.sampled_from(keys))
    copy = tree.copy()
    if draw(st.integers(0, 5)) == 0:
        del copy[key]
    else:
        copy[key] = _replaced(draw, tree[key])
    return copy
