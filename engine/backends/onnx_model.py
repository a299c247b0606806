"""An ONNX file as plain Python, read and written without the onnx package.

Machines that play need neither a model checker nor a converter: nodes, attributes and weights are
enough for the interpreter (`engine.backends.torch`) and for what is handed to TensorRT. Field
numbers are those of onnx.proto3. Only plain tensors are read: no sequences of sparse ones, no
functions, no strings.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from engine.errors import BundleError
from engine.protobuf import fields, varint
from engine.session import Array

Value: TypeAlias = "int | float | bytes | Array | list[int] | list[float] | Graph"
"""Of an attribute."""

DTYPES: dict[int, type[np.generic]] = {
    1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_,
    10: np.float16, 11: np.float64,
}  # fmt: skip
"""Element types by ONNX's number."""

_DEEPEST = 16


@dataclass
class Node:
    """One operator: names of the values it reads ("" for none) and of those it makes."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Value] = field(default_factory=dict)
    domain: str = ""


@dataclass
class Graph:
    """Nodes in an order in which they can run; `door` holds the inputs' and outputs' types."""

    name: str
    nodes: list[Node]
    weights: dict[str, Array]
    inputs: list[str]
    outputs: list[str]
    door: dict[str, bytes] = field(default_factory=dict)  # ValueInfoProto as it stood


@dataclass
class Model:
    """A graph and the operator set that its nodes belong to."""

    graph: Graph
    opset: int
    ir_version: int


def read_model(path: Path) -> Model:
    """The model in a file; weights may lie in plain files beside it. BundleError if it is none."""
    try:
        return _model(memoryview(path.read_bytes()), path.parent)
    except (ValueError, IndexError, struct.error, KeyError) as error:
        raise BundleError(f"{path.name} is not an ONNX file: {error}") from None
    except OSError as error:
        raise BundleError(f"{path.name}: {error.strerror}: the bundle is damaged") from None


def _model(message: memoryview, folder: Path) -> Model:
    found: dict[int, Any] = {1: 0, 7: None}
    opsets = {}
    for number, value in fields(message):
        if number == 8:
            opset = dict(fields(value))
            opsets[_text(opset.get(1, b""))] = opset.get(2, 0)
        elif number == 25:
            raise ValueError("it has functions of its own")
        found[number] = value
    if found[7] is None:
        raise ValueError("it has no graph")
    return Model(_graph(found[7], folder, 0), opsets.get("", 0), found[1])


def _graph(message: memoryview, folder: Path, depth: int) -> Graph:
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    graph = Graph("", [], {}, [], [])
    for number, value in fields(message):
        if number == 1:
            graph.nodes.append(_node(value, folder, depth))
        elif number == 2:
            graph.name = _text(value)
        elif number == 5:
            name, array = _tensor(value, folder)
            graph.weights[name] = array
        elif number in (11, 12):
            name = _text(dict(fields(value))[1])
            graph.door[name] = bytes(value)
            (graph.inputs if number == 11 else graph.outputs).append(name)
    return graph


def _node(message: memoryview, folder: Path, depth: int) -> Node:
    node = Node("", [], [])
    for number, value in fields(message):
        if number == 1:
            node.inputs.append(_text(value))
        elif number == 2:
            node.outputs.append(_text(value))
        elif number == 4:
            node.op = _text(value)
        elif number == 5:
            name, content = _attribute(value, folder, depth)
            node.attributes[name] = content
        elif number == 7:
            node.domain = _text(value)
    return node


def _attribute(message: memoryview, folder: Path, depth: int) -> tuple[str, Value]:
    name, kind = "", 0
    one: dict[int, Any] = {}
    many: dict[int, list[Any]] = {7: [], 8: []}
    for number, value in fields(message):
        if number == 1:
            name = _text(value)
        elif number == 20:
            kind = value
        elif number in many:
            many[number] += _numbers(value, "f" if number == 7 else "v")
        else:
            one[number] = value
    if kind == 1:
        return name, float(struct.unpack("<f", one.get(2, bytes(4)))[0])
    if kind == 2:
        return name, _signed(one.get(3, 0))
    if kind == 3:
        return name, bytes(one.get(4, b""))
    if kind == 4:
        return name, _tensor(one[5], folder)[1]
    if kind == 5:
        return name, _graph(one[6], folder, depth + 1)
    if kind in (6, 7):
        return name, many[kind + 1]
    raise ValueError(f"attribute {name} is of type {kind}")


def _tensor(message: memoryview, folder: Path) -> tuple[str, Array]:
    dims: list[int] = []
    name, kind, raw, external = "", 0, None, {}
    loose: list[Any] = []
    for number, value in fields(message):
        if number == 1:
            dims += _numbers(value, "v")
        elif number == 2:
            kind = value
        elif number == 4:
            loose += _numbers(value, "f")
        elif number in (5, 7):
            loose += _numbers(value, "v")
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = value
        elif number == 13:
            entry = dict(fields(value))
            external[_text(entry.get(1, b""))] = _text(entry.get(2, b""))
    dtype = np.dtype(DTYPES[kind])
    if external:
        raw = _outside(folder, external, dtype.itemsize * int(np.prod(dims, dtype=np.int64)))
    if raw is not None:
        return name, np.frombuffer(raw, dtype).reshape(dims)
    if dtype == np.float16:  # stored as the bits of whole numbers
        return name, np.array(loose, np.uint16).view(np.float16).reshape(dims)
    return name, np.array(loose, dtype).reshape(dims)


def _outside(folder: Path, external: Mapping[str, str], size: int) -> bytes:
    """The bytes of a tensor that lies in a file beside the graph."""
    location = external.get("location", "")
    if not location or location in (".", "..") or "/" in location or "\\" in location:
        raise ValueError(f"data in {location!r:.60}, which is no plain file name")
    with (folder / location).open("rb") as file:
        file.seek(int(external.get("offset", 0)))
        content = file.read(int(external.get("length", size)))
    if len(content) != size:
        raise ValueError(f"{location} has {len(content):,} of {size:,} bytes")
    return content


def _numbers(value: Any, kind: str) -> list[Any]:
    """One number, or many packed."""
    if isinstance(value, int):
        return [_signed(value)]
    if kind == "f":
        return list(np.frombuffer(value, np.float32).tolist())
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(_signed(number))
    return found


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8")
