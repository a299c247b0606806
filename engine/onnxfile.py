"""Which other files an ONNX file wants to read: a walk over its protobuf, without onnx.

A tensor may say that its data lies in another file (`external_data`, key `location`). The names
are looked at before anything loads the graph, because what loads it follows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.errors import BundleError

Message = memoryview

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
    for number, value in _fields(message):
        if kind == "tensor" and number == _EXTERNAL_DATA:
            entry = {n: bytes(v) for n, v in _fields(value)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif number in _NESTED.get(kind, {}):
            yield from _locations(value, _NESTED[kind][number], depth + 1)


def _fields(message: Message) -> Iterator[tuple[int, Message]]:
    """(field number, content) of the length-delimited fields; the others are skipped."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError(f"a field of {length:,} bytes ends behind the file")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: Message, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
