"""The velocity network with int8 products, for CPUs whose products of bytes are fast.

Every product with a large stored matrix becomes ONNX Runtime's dynamic form: what enters is
rounded to bytes by its own range (DynamicQuantizeLinear), multiplied with int8 weights
(MatMulInteger), and scaled back. Small matrices, norms, attention scores and recurrences stay
float32. It is another music, not the same faster: its distance from torch goes into the manifest.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from export.rounding import nearest_int8
from export.weights import INT8, SCALE

SMALLEST_VALUES = 32_768
"""Of a matrix, below which rounding what enters costs what the product saves."""
LIMIT = 0.3
"""Largest relative error of the int8 form against torch that may ship; `live` has 0.015. Beyond
it something is broken; whether it sounds as well is for the quality report to say."""
GOLDEN_TOLERANCE = 0.1
"""Of latents: a sum in another order may round an activation to the next byte."""


def in_int8(model: ir.Model) -> int:
    """Replace the products with large stored matrices, in place; how many there were."""
    rounded: dict[str, tuple[ir.Value, ir.Value, ir.Value]] = {}
    products = [node for node in model.graph if _is_large(node)]
    matrices = {matrix for node in products if (matrix := node.inputs[1]) is not None}
    for node in products:
        _replace(model, node, rounded)
    for matrix in matrices:
        if not matrix.uses():
            del model.graph.initializers[str(matrix.name)]
    return len(products)


def _is_large(node: ir.Node) -> bool:
    if node.op_type != "MatMul" or node.inputs[1] is None:
        return False
    stored = node.inputs[1].const_value
    return stored is not None and len(stored.shape) == 2 and stored.size >= SMALLEST_VALUES


def _replace(
    model: ir.Model, node: ir.Node, rounded: dict[str, tuple[ir.Value, ir.Value, ir.Value]]
) -> None:
    entering, matrix, leaving = node.inputs[0], node.inputs[1], node.outputs[0]
    assert entering is not None and matrix is not None and entering.name is not None
    name, nodes = str(leaving.name), []
    if entering.name not in rounded:
        bytes_of = ir.node("DynamicQuantizeLinear", [entering], num_outputs=3,
                           name=f"{entering.name}.rounding")  # fmt: skip
        nodes.append(bytes_of)
        rounded[entering.name] = bytes_of.outputs[0], bytes_of.outputs[1], bytes_of.outputs[2]
    whole, scale, zero = rounded[entering.name]
    weights, weight_scale = _stored(model, matrix)
    product = ir.node("MatMulInteger", [whole, weights, zero], name=f"{name}.product")
    wide = ir.node("Cast", [product.outputs[0]], {"to": ir.DataType.FLOAT}, name=f"{name}.wide")
    scales = ir.node("Mul", [scale, weight_scale], name=f"{name}.scales")
    scaled = ir.node("Mul", [wide.outputs[0], scales.outputs[0]], name=f"{name}.scaled")
    scaled.outputs[0].shape, scaled.outputs[0].type = leaving.shape, leaving.type
    model.graph.insert_before(node, [*nodes, product, wide, scales, scaled])
    ir.convenience.replace_all_uses_with(leaving, scaled.outputs[0], replace_graph_outputs=True)
    model.graph.remove(node, safe=True)
    scaled.outputs[0].name = name


def _stored(model: ir.Model, matrix: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The matrix as int8 and a scale for every column, under the names that restoring reads."""
    name = str(matrix.name)
    initializers = model.graph.initializers
    if name + INT8 not in initializers:
        assert matrix.const_value is not None
        whole, scale = nearest_int8(matrix.const_value.numpy().astype(np.float32), -1)
        for suffix, array in ((INT8, whole.astype(np.int8)), (SCALE, scale[0])):
            tensor = ir.tensor(array, name=name + suffix)
            model.graph.register_initializer(
                ir.Value(name=name + suffix, shape=ir.Shape(array.shape),
                         type=ir.TensorType(tensor.dtype), const_value=tensor)
            )  # fmt: skip
    return initializers[name + INT8], initializers[name + SCALE]
