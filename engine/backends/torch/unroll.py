"""A Scan of any body as plain nodes, one copy of the body for every step.

A CUDA graph has no loops, and how many steps there are is known when a program is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.backends.onnx_model import Graph, Node
from engine.backends.torch.ops import refused, whole, wholes

TURNED = ("scan_input_directions", "scan_output_directions", "scan_input_axes", "scan_output_axes")


def index_name(step: int) -> str:
    """The constant that holds the number of a step."""
    return f"scan step {step}"


FIRST_AXIS = "scan axis"
"""The constant [0]."""


def unrolled(node: Node, steps: int) -> Iterator[Node]:
    """What a Scan over the leading axis of its inputs does; BundleError for other axes.

    Names of the body are told apart by the step; what it does not make itself is of the graph
    around it.
    """
    body = node.attributes["body"]
    assert isinstance(body, Graph)
    if any(any(wholes(node, name, ())) for name in TURNED):
        raise refused(node, "along other axes")
    states = len(node.inputs) - whole(node, "num_scan_inputs", 0)
    carried, pieces = node.inputs[:states], node.inputs[states:]
    own = [name for inner in body.nodes for name in inner.outputs]
    made: list[list[str]] = [[] for _ in body.outputs[states:]]
    for step in range(steps):
        here = f"{node.outputs[0]}.{step}."
        names = {name: here + name for name in own} | dict(
            zip(body.inputs, [*carried, *(here + piece for piece in body.inputs[states:])],
                strict=True)
        )  # fmt: skip
        for piece, inner in zip(pieces, body.inputs[states:], strict=True):
            yield Node("Gather", [piece, index_name(step)], [here + inner], {"axis": 0})
        for inner_node in body.nodes:
            yield _renamed(inner_node, names)
        leaving = [names.get(name, name) for name in body.outputs]
        carried = leaving[:states]
        for several, name in zip(made, leaving[states:], strict=True):
            several.append(here + "row." + name)
            yield Node("Unsqueeze", [name, FIRST_AXIS], several[-1:])
    for name, output in zip(carried, node.outputs, strict=False):
        yield Node("Identity", [name], [output])
    for several, output in zip(made, node.outputs[states:], strict=True):
        yield Node("Concat", several, [output], {"axis": 0})


def _renamed(node: Node, names: dict[str, str]) -> Node:
    inside = [value for value in node.attributes.values() if isinstance(value, Graph)]
    if inside:
        raise refused(node, "inside a Scan")
    return replace(
        node,
        inputs=[names.get(name, name) for name in node.inputs],
        outputs=[names.get(name, name) for name in node.outputs],
    )
