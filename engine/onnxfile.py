"""Which other files an ONNX file wants to read: a walk over its protobuf, without onnx.

A tensor may say that its data lies in another file (`external_data`, key `location`). The names
are looked at before anything loads the graph, because what loads it follows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.errors import BundleError
from engine.protobuf import Message, contents

# Field numbers of onnx.proto; a message field leads to the kind of message behind it.
_NESTED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}  # fmt: skip
_EXTERNAL_DATA = 13  # of a tensor: entries of key (1) and value (2)
_DEEPEST = 64


def external_files(path: Path) -> set[str]:
    """Locations of external data anywhere in an ONNX file; BundleError if it cannot be read."""
    try:
        return set(_locations(memoryview(path.read_bytes()), "model", 0))
    except (ValueError, IndexError) as error:
        raise BundleError(f"{path.name} is not an ONNX file: {error}") from None


def _locations(message: Message, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    for number, value in contents(message):
        if kind == "tensor" and number == _EXTERNAL_DATA:
            entry = {n: bytes(v) for n, v in contents(value)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif number in _NESTED.get(kind, {}):
            yield from _locations(value, _NESTED[kind][number], depth + 1)
