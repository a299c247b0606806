"""How many operations an ONNX graph does and how many bytes it must move, at given shapes.

Shapes are not guessed: the graph runs once in ONNX Runtime, with every value in it as an output and
nothing optimised away. Then each node is counted by the sizes of what went in and came out:

- a multiplication and an addition are two operations; matrix products and convolutions are exact
  (a transform of n points is 5·n·log2 n, half of it for real signals); anything else that
  computes counts once for each element of its largest operand, Softmax 5, LayerNormalization 8
  times; what only moves or renames elements counts nothing
- a node that depends on weights alone counts nothing: the runtime folds it when it loads
- the body of a Scan counts as often as it runs

Bytes are those that cannot be saved: every weight in the form it is used in (after folding) once,
of a table only the rows looked up, all inputs and all outputs. What a graph writes and reads in
between may stay in a cache; `between_bytes` says how much that is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UsageError
from engine.session import Array

PRODUCTS = ("MatMul", "MatMulInteger", "Gemm", "Conv", "ConvTranspose", "DFT", "STFT")
VIEWS = {"Identity", "Reshape", "Shape", "Size", "Squeeze", "Unsqueeze"}
MOVES = VIEWS | {
    "Cast", "CastLike", "Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather",
    "GatherElements", "GatherND", "Pad", "Range", "ScatterElements", "ScatterND", "Slice", "Split",
    "Tile", "Transpose",
}  # fmt: skip
TIMES = {"Softmax": 5, "LayerNormalization": 8}
REFUSED = ("If", "Loop", "SequenceMap")


@dataclass(frozen=True)
class Count:
    """Of one run of a graph."""

    operations: Mapping[str, float]  # by operator
    weight_bytes: float
    in_out_bytes: float
    between_bytes: float

    @property
    def total(self) -> float:
        """Operations in all."""
        return sum(self.operations.values())

    @property
    def bytes(self) -> float:
        """Those that cannot be saved."""
        return self.weight_bytes + self.in_out_bytes


def count(path: Path, feeds: Mapping[str, Array]) -> Count:
    """Of one run of the graph in `path` on `feeds`; only shapes and types of these matter much.

    UsageError without the package onnx, and for control flow that is not a Scan.
    """
    onnx = load_onnx()
    return _count(onnx, onnx.load(str(path)), feeds)


def load_onnx() -> Any:
    """The module onnx; UsageError if there is none."""
    try:
        import onnx
    except ImportError:
        raise UsageError("graphs are counted with onnx: install perpetuo[train]") from None
    return onnx


def _count(onnx: Any, model: Any, feeds: Mapping[str, Array]) -> Count:
    graph = model.graph
    values = _values(onnx, model, feeds)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values.update(weights)
    fixed = set(weights)
    operations: Counter[str] = Counter()
    between, held, used = 0.0, 0.0, {}
    outputs = {output.name for output in graph.output}
    for node in graph.node:
        names = [name for name in node.input if name]
        if all(name in fixed for name in names) and node.op_type != "Scan":
            fixed.update(node.output)
            continue
        inner = _scan(onnx, model, node, values, fixed) if node.op_type == "Scan" else None
        operations.update(inner.operations if inner else {node.op_type: _of(node, values)})
        between += inner.between_bytes if inner else _between(node, values, fixed, outputs)
        used.update(_weights(node, names, values, fixed))
        held += inner.weight_bytes if inner else 0.0
    in_out = sum(array.nbytes for array in feeds.values())
    in_out += sum(values[name].nbytes for name in outputs)
    weight_bytes = held + sum(used.values())
    return Count({k: n for k, n in operations.items() if n}, weight_bytes, in_out, between)


def _values(onnx: Any, model: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every value of the graph that is not a weight, from one run of it."""
    import onnxruntime

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    had = {output.name for output in whole.graph.output}
    made = [name for node in whole.graph.node for name in node.output if name and name not in had]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        whole.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, dict(feeds)), strict=True))
    return {**feeds, **found}


def _scan(onnx: Any, model: Any, node: Any, values: Mapping[str, Array], fixed: set[str]) -> Count:
    """The body of a Scan along leading axes, as often as it runs; its weights are read once."""
    given = {attribute.name: attribute for attribute in node.attribute}
    body, scanned = given["body"].g, given["num_scan_inputs"].i
    if any(any(given[name].ints) for name in given if name.endswith("axes")):
        raise UsageError(f"{node.name}: a Scan along another than the leading axis is not counted")
    states, rows = node.input[:-scanned], node.input[-scanned:]
    entering = [values[name] for name in states] + [values[name][0] for name in rows]
    feeds = {at.name: np.ascontiguousarray(x) for at, x in zip(body.input, entering, strict=True)}
    alone = onnx.helper.make_model(body, opset_imports=model.opset_import)
    alone.ir_version = model.ir_version
    for name in _from_outside(body):
        if name in fixed:
            alone.graph.initializer.append(onnx.numpy_helper.from_array(values[name], name))
        else:
            feeds[name] = np.ascontiguousarray(values[name])
            kind = onnx.helper.np_dtype_to_tensor_dtype(feeds[name].dtype)
            shape = feeds[name].shape
            alone.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    once, trips = _count(onnx, alone, feeds), values[rows[0]].shape[0]
    operations = {name: trips * n for name, n in once.operations.items()}
    between = trips * (once.between_bytes + once.in_out_bytes)
    return Count(operations, once.weight_bytes, 0.0, between)


def _from_outside(body: Any) -> list[str]:
    """Values that a body reads of the graph around it; bodies inside of it have none."""
    own = {tensor.name for tensor in (*body.input, *body.initializer)}
    own.update(name for node in body.node for name in node.output)
    return sorted({name for node in body.node for name in node.input if name} - own)


def _of(node: Any, values: Mapping[str, Array]) -> float:
    """Operations of a node that is no Scan."""
    kind = node.op_type
    if kind in MOVES:
        return 0.0
    if kind in REFUSED:
        raise UsageError(f"{node.name}: a graph with {kind} is not counted")
    inside = [values[name] for name in node.input if name]
    made = [values[name] for name in node.output if name]
    if kind in PRODUCTS:
        return _product(node, inside, made[0])
    return float(TIMES.get(kind, 1) * max(array.size for array in inside + made))


def _product(node: Any, inside: Sequence[Array], made: Array) -> float:
    kind, first = node.op_type, inside[0]
    if kind == "Conv":
        return 2.0 * made.size * math.prod(inside[1].shape[1:])
    if kind == "ConvTranspose":
        return 2.0 * first.size * math.prod(inside[1].shape[1:])
    if kind == "STFT":
        points = 2 * (made.shape[-2] - 1)
        return made.shape[0] * made.shape[1] * 2.5 * points * math.log2(points)
    if kind == "DFT":
        points = made.shape[-2]
        return 5.0 * (made.size // 2) * math.log2(max(points, 2))
    turned = any(a.name == "transA" and a.i for a in node.attribute)
    return 2.0 * made.size * first.shape[0 if turned else -1]


def _weights(
    node: Any, names: Sequence[str], values: Mapping[str, Array], fixed: set[str]
) -> dict[str, float]:
    """Bytes of the weights that a node uses, by name; of a table the rows looked up."""
    used = {name: float(values[name].nbytes) for name in names if name in fixed}
    if node.op_type == "Gather" and names[0] in used:
        used[names[0]] = min(used[names[0]], float(values[node.output[0]].nbytes))
    return used


def _between(node: Any, values: Mapping[str, Array], fixed: set[str], outputs: set[str]) -> float:
    """Bytes that a node reads and writes of what is neither weight, nor output of the graph."""
    if node.op_type in VIEWS:
        return 0.0
    names = [*node.input, *(name for name in node.output if name not in outputs)]
    return float(sum(values[name].nbytes for name in names if name and name not in fixed))
