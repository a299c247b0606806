"""A graph with int8 products, for CPUs whose products of bytes are fast.

Every product with a large stored matrix becomes ONNX Runtime's dynamic form: what enters is
rounded to bytes by its own range (DynamicQuantizeLinear), multiplied with int8 weights
(MatMulInteger), and scaled back. Small matrices, norms, attention scores and recurrences stay
float32. It is another music, not the same faster: its distance from torch goes into the manifest.

The weights are those of the other forms, to the byte, where `export.rounding` has rounded them to
7 bits. Rows share the range of what enters: streams in one pass would touch each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from export import rounding
from export.weights import INT8, SCALE

LIMIT = 0.3
"""Largest relative error of the int8 form against torch that may ship; `live` has 0.015. Beyond
it something is broken; whether it sounds as well is for the quality report to say."""

GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
"""Attributes of a Gemm that is a product, and a sum where it has a third input."""

Rounded = dict[tuple[int, ir.Value], tuple[ir.Value, ir.Value, ir.Value]]
"""Bytes, scale and zero of what enters, by the graph in which it is rounded."""


def in_int8(model: ir.Model) -> int:
    """Replace the products with large stored matrices, in place; how many there were.

    Those in the body of a Scan are among them.
    """
    rounded: Rounded = {}
    products = [node for node in model.graph.all_nodes() if _is_large(node)]
    matrices = {matrix for node in products if (matrix := node.inputs[1]) is not None}
    for node in products:
        _replace(model, node, rounded)
    for matrix in matrices:
        if not matrix.uses():
            del model.graph.initializers[str(matrix.name)]
    return len(products)


def _is_large(node: ir.Node) -> bool:
    """A product with a large stored matrix that is read as it lies."""
    if node.op_type not in ("MatMul", "Gemm") or node.inputs[1] is None:
        return False
    otherwise = {name: value.value for name, value in node.attributes.items()}
    if any(otherwise.get(name, usual) != usual for name, usual in GEMM.items()):
        return False
    stored = node.inputs[1].const_value
    return (
        stored is not None and len(stored.shape) == 2 and stored.size >= rounding.SMALLEST_FACTORS
    )


def _replace(model: ir.Model, node: ir.Node, rounded: Rounded) -> None:
    entering, matrix, leaving = node.inputs[0], node.inputs[1], node.outputs[0]
    assert entering is not None and matrix is not None and node.graph is not None
    name, nodes, here = str(leaving.name), [], (id(node.graph), entering)
    if here not in rounded:
        names = [f"{name}.{part}" for part in ("bytes", "range", "zero")]
        nodes.append(_named("DynamicQuantizeLinear", [entering], names))
        whole, scale, zero = nodes[0].outputs
        rounded[here] = whole, scale, zero
    whole, scale, zero = rounded[here]
    weights, weight_scale = _stored(model, matrix)
    product = _named("MatMulInteger", [whole, weights, zero], [f"{name}.product"])
    wide = _named("Cast", product.outputs, [f"{name}.wide"], {"to": ir.DataType.FLOAT})
    scales = _named("Mul", [scale, weight_scale], [f"{name}.scales"])
    nodes += [product, wide, scales]
    nodes.append(_named("Mul", [wide.outputs[0], scales.outputs[0]], [f"{name}.scaled"]))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        nodes.append(_named("Add", [nodes[-1].outputs[0], node.inputs[2]], [f"{name}.sum"]))
    made, graph = nodes[-1].outputs[0], node.graph
    made.shape, made.type = leaving.shape, leaving.type
    graph.insert_before(node, nodes)
    ir.convenience.replace_all_uses_with(leaving, made, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    made.name = name


def _named(
    kind: str, inputs: Sequence[ir.Value], names: Sequence[str],
    attributes: Mapping[str, ir.DataType] | None = None,
) -> ir.Node:  # fmt: skip
    """A node whose outputs have names: those that a body would find for them may stand outside."""
    node = ir.node(kind, inputs, attributes, num_outputs=len(names), name=names[0])
    for value, name in zip(node.outputs, names, strict=True):
        value.name = name
    return node


def _stored(model: ir.Model, matrix: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The matrix as int8 and a scale for every column, under the names that restoring reads."""
    name = str(matrix.name)
    initializers = model.graph.initializers
    if name + INT8 not in initializers:
        assert matrix.const_value is not None
        whole, scale = rounding.nearest_int8(
            matrix.const_value.numpy(), -1, rounding.LARGEST_FACTOR
        )
        for suffix, array in ((INT8, whole.astype(np.int8)), (SCALE, scale[0])):
            tensor = ir.tensor(array, name=name + suffix)
            model.graph.register_initializer(
                ir.Value(name=name + suffix, shape=ir.Shape(array.shape),
                         type=ir.TensorType(tensor.dtype), const_value=tensor)
            )  # fmt: skip
    return initializers[name + INT8], initializers[name + SCALE]
