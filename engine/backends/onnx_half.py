"""Half precision written into a graph: products in float16, everything else in float32.

What enters a MatMul, a Gemm or a Conv is cast to float16, weights are stored as such, and what
leaves is cast back. Norms, softmax, sums and recurrences are no products and keep float32. The
casts say so in the graph itself, which is how a strongly typed TensorRT network wants to be told;
neighbouring ones are fused there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.backends.onnx_model import DTYPES, Graph, Model, Node
from engine.errors import BundleError
from engine.session import Array

PRODUCTS = ("MatMul", "Gemm", "Conv")
FLOAT, HALF = 1, 10
"""ONNX's numbers of the two types."""


def fold(model: Model) -> Model:
    """The same model with what depends on weights alone computed: casts, scales, pieces."""
    graph, weights, nodes = model.graph, dict(model.graph.weights), []
    for node in graph.nodes:
        if node.op in _FOLDED and all(name in weights for name in node.inputs):
            weights[node.outputs[0]] = _FOLDED[node.op](node, [weights[n] for n in node.inputs])
        else:
            nodes.append(node)
    used = {name for node in nodes for name in _read(node)} | set(graph.outputs)
    weights = {name: array for name, array in weights.items() if name in used}
    return replace(model, graph=replace(graph, nodes=nodes, weights=weights))


def in_half(model: Model) -> Model:
    """The folded model with its products in float16; BundleError for weights beyond its range."""
    graph = fold(model).graph
    halves = _Halves(dict(graph.weights))
    for node in graph.nodes:
        if node.op in PRODUCTS:
            halves.product(node)
        else:
            halves.nodes.append(node)
    used = {name for node in halves.nodes for name in _read(node)} | set(graph.outputs)
    kept = {name: array for name, array in halves.weights.items() if name in used}
    return replace(model, graph=replace(graph, nodes=halves.nodes, weights=kept))


class _Halves:
    """Nodes so far, and the float16 form of every value that has one."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.nodes: list[Node] = []
        self.weights = weights
        self._known: dict[str, str] = {}

    def product(self, node: Node) -> None:
        """The node between casts."""
        inputs = [self._half(name) if name else "" for name in node.inputs]
        (wide,) = node.outputs
        self.nodes.append(replace(node, inputs=inputs, outputs=[wide + ".half"]))
        self.nodes.append(Node("Cast", [wide + ".half"], [wide], {"to": FLOAT}))

    def _half(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = name + ".to_half"
            if name in self.weights:
                self.weights[name + ".to_half"] = _narrowed(name, self.weights[name])
            else:
                self.nodes.append(Node("Cast", [name], [name + ".to_half"], {"to": HALF}))
        return self._known[name]


def _narrowed(name: str, array: Array) -> Array:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise BundleError(
            f"weight {name} reaches {float(np.abs(array).max()):.3g}, half precision ends at "
            "65504: use --precision single"
        )
    return half


def _read(node: Node) -> list[str]:
    """Names that a node reads, those inside its loops too."""
    names = list(node.inputs)
    for value in node.attributes.values():
        if isinstance(value, Graph):
            names += [name for inner in value.nodes for name in _read(inner)]
            names += value.outputs
    return names


def _cast(node: Node, inputs: list[Array]) -> Array:
    to = node.attributes["to"]
    assert isinstance(to, int)
    return inputs[0].astype(DTYPES[to])


_FOLDED: dict[str, Callable[[Node, list[Array]], Array]] = {
    "Cast": _cast,
    "Mul": lambda node, inputs: inputs[0] * inputs[1],
    "MatMul": lambda node, inputs: inputs[0] @ inputs[1],
    "Reshape": lambda node, inputs: inputs[0].reshape(inputs[1].tolist()),
}
