"""A model as the bytes of an ONNX file, with its weights inside."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

from engine.backends.onnx_model import DTYPES, Graph, Model, Node, Value
from engine.session import Array

ELEMENT = {np.dtype(kind): number for number, kind in DTYPES.items()}
"""ONNX's number of an element type."""


def write_model(model: Model) -> bytes:
    """The ONNX file; one field after the other, as `onnx_model` reads them."""
    opset = _whole(2, model.opset)
    return _whole(1, model.ir_version) + _bytes(7, _graph(model.graph)) + _bytes(8, opset)


def door(name: str, dtype: str, shape: Iterable[int | str]) -> bytes:
    """The description of an input or output; a name in the shape is a free axis."""
    axes = b"".join(
        _bytes(1, _whole(1, axis) if isinstance(axis, int) else _text(2, axis)) for axis in shape
    )
    tensor = _whole(1, ELEMENT[np.dtype(dtype)]) + _bytes(2, axes)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _graph(graph: Graph) -> bytes:
    parts = [_bytes(1, _node(node)) for node in graph.nodes]
    parts.append(_text(2, graph.name))
    parts += [_bytes(5, _tensor(name, array)) for name, array in graph.weights.items()]
    parts += [_bytes(11, graph.door[name]) for name in graph.inputs]
    parts += [_bytes(12, graph.door[name]) for name in graph.outputs]
    return b"".join(parts)


def _node(node: Node) -> bytes:
    parts = [_text(1, name) for name in node.inputs]
    parts += [_text(2, name) for name in node.outputs]
    parts += [_text(3, node.outputs[0]), _text(4, node.op)]
    parts += [_bytes(5, _attribute(name, value)) for name, value in node.attributes.items()]
    return b"".join(parts) + (_text(7, node.domain) if node.domain else b"")


def _attribute(name: str, value: Value) -> bytes:
    kind, content = _content(value)
    return _text(1, name) + content + _whole(20, kind)


def _content(value: Value) -> tuple[int, bytes]:
    """ONNX's number of an attribute's type, and its field."""
    if isinstance(value, int):
        return 2, _whole(3, value)
    if isinstance(value, float):
        return 1, _tag(2, 5) + struct.pack("<f", value)
    if isinstance(value, bytes):
        return 3, _bytes(4, value)
    if isinstance(value, Graph):
        return 5, _bytes(6, _graph(value))
    if isinstance(value, list):
        if all(isinstance(one, int) for one in value):
            return 7, b"".join(_whole(8, int(one)) for one in value)
        return 6, b"".join(_tag(7, 5) + struct.pack("<f", one) for one in value)
    return 4, _bytes(5, _tensor("", value))


def _tensor(name: str, array: Array) -> bytes:
    parts = [_whole(1, size) for size in array.shape]
    parts += [_whole(2, ELEMENT[array.dtype]), _text(8, name)]
    return b"".join(parts) + _bytes(9, np.ascontiguousarray(array).tobytes())


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _whole(number: int, value: int) -> bytes:
    return _tag(number, 0) + _varint(value & (1 << 64) - 1)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
