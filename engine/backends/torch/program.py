"""A graph as a list of torch calls, made once for the shapes of its inputs.

Making it runs the graph: every value that follows from weights and shapes alone is computed then
and is a constant afterwards, so that what is left is arithmetic on the device, without a branch
and without a look at a number, which is what a CUDA graph can hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import engine.backends.torch.shaping  # noqa: F401  (like layers, it fills the table of operators)
from engine.backends.onnx_model import Graph, Model, Node
from engine.backends.torch.layers import is_recurrence
from engine.backends.torch.ops import OPS, Run, whole
from engine.backends.torch.unroll import FIRST_AXIS, index_name, unrolled
from engine.errors import BundleError

Step = tuple[Run, tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""What runs, the places it reads, those it writes, and those nothing reads any more."""


def refuse_unknown(file: str, model: Model) -> None:
    """BundleError that names the operators of a graph that are not known here."""
    unknown = sorted(_operators(model.graph) - OPS.keys() - {"Shape"})
    if unknown:
        raise BundleError(
            f"{file} has the operator {', '.join(unknown)}, which the torch backend does not "
            "know: use --backend ort"
        )


def _operators(graph: Graph) -> set[str]:
    """Those inside loops, too."""
    inside = [value for node in graph.nodes for value in node.attributes.values()]
    bodies = [_operators(value) for value in inside if isinstance(value, Graph)]
    return {node.op for node in graph.nodes}.union(*bodies)


class Weights:
    """The weights of a graph as tensors, on the CPU and, as they are asked for, on the device."""

    def __init__(self, model: Model, device: torch.device) -> None:
        self.device = device
        self.known = {
            name: torch.from_numpy(array.copy()) for name, array in model.graph.weights.items()
        }
        self._there: dict[str, Tensor] = {}

    def there(self, name: str) -> Tensor:
        """On the device; the same tensor every time."""
        if name not in self._there:
            self._there[name] = self.known[name].to(self.device)
        return self._there[name]


class Program:
    """A graph for inputs of certain shapes. Keeps nothing between runs; any thread may run it."""

    def __init__(self, model: Model, weights: Weights, feeds: Mapping[str, Tensor]) -> None:
        """`feeds` stand for all inputs of their shapes. BundleError for what cannot be played."""
        maker = _Maker(weights, feeds)
        for node in model.graph.nodes:
            maker.add(node)
        self._steps = maker.finished(model.graph.outputs)
        self._start = maker.start
        self._entering = [(name, maker.places[name]) for name in feeds]
        self._leaving = [(name, maker.places[name]) for name in model.graph.outputs]

    def __len__(self) -> int:
        return len(self._steps)

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All outputs by name; they may share memory with inputs and with each other."""
        values = self._start.copy()
        for name, place in self._entering:
            values[place] = feeds[name]
        for run, reads, writes, dead in self._steps:
            made = run(*[values[place] if place >= 0 else None for place in reads])
            if len(writes) == 1 and isinstance(made, Tensor):
                values[writes[0]] = made
            else:
                for place, one in zip(writes, made, strict=False):
                    values[place] = one
            for place in dead:
                values[place] = None
        return {name: values[place] for name, place in self._leaving}


class _Known:
    """The inputs of a node as its maker sees them."""

    def __init__(self, node: Node, known: Mapping[str, Any]) -> None:
        self._node = node
        self._known = known

    def has(self, index: int) -> bool:
        return index < len(self._node.inputs) and self._node.inputs[index] != ""

    def numbers(self, index: int) -> list[Any]:
        name = self._node.inputs[index]
        if name not in self._known:
            raise LookupError(f"{self._node.op} wants {name} before it runs")
        return list(self._known[name].reshape(-1).tolist())


class _Maker:
    """A program in the making."""

    def __init__(self, weights: Weights, feeds: Mapping[str, Tensor]) -> None:
        self.places: dict[str, int] = {}
        self.start: list[Any] = []
        self._weights = weights
        self._known: dict[str, Any] = dict(weights.known)
        self._example: dict[str, Any] = {}
        self._steps: list[tuple[Run, tuple[int, ...], tuple[int, ...]]] = []
        for name, tensor in feeds.items():
            self._place(name)
            self._example[name] = tensor

    def add(self, node: Node) -> None:
        """One more operator: a constant where it can be one, else a step."""
        if node.op == "Shape":
            self._known[node.outputs[0]] = self._shape(node)
            return
        if node.op == "Scan" and not is_recurrence(node):
            self._unroll(node)
            return
        try:
            run = OPS[node.op](node, _Known(node, self._known))
        except LookupError as error:
            raise BundleError(f"{error}: torch cannot play this graph, use --backend ort") from None
        names = [name for name in node.inputs if name]
        with torch.inference_mode():
            if all(name in self._known for name in names):
                made = run(*[self._known[name] if name else None for name in node.inputs])
                self._known.update(zip(node.outputs, _several(made), strict=False))
            else:
                self._step(node, run)

    def finished(self, outputs: Sequence[str]) -> list[Step]:
        """All steps, each with the places that can be forgotten behind it."""
        for name in outputs:
            if name not in self.places:
                self._constant(name)
        last: dict[int, int] = {}
        for i, (_, reads, writes) in enumerate(self._steps):
            last |= dict.fromkeys((*reads, *writes), i)
        kept = {self.places[name] for name in outputs}
        kept |= {place for place, value in enumerate(self.start) if value is not None} | {-1}
        dead: dict[int, list[int]] = {}
        for place, i in last.items():
            if place not in kept:
                dead.setdefault(i, []).append(place)
        return [(*step, tuple(dead.get(i, ()))) for i, step in enumerate(self._steps)]

    def _unroll(self, node: Node) -> None:
        body, piece = node.attributes["body"], node.inputs[-1]
        assert isinstance(body, Graph)
        found = self._example.get(piece, self._known.get(piece))
        assert found is not None
        self._known |= {name: torch.from_numpy(x.copy()) for name, x in body.weights.items()}
        self._known |= {index_name(k): torch.tensor(k) for k in range(found.shape[0])}
        self._known[FIRST_AXIS] = torch.tensor([0])
        for part in unrolled(node, found.shape[0]):
            self.add(part)

    def _step(self, node: Node, run: Run) -> None:
        reads = tuple(self._read(name) if name else -1 for name in node.inputs)
        made = run(*[self._value(name) if name else None for name in node.inputs])
        for name, value in zip(node.outputs, _several(made), strict=False):
            self._example[name] = value
        self._steps.append((run, reads, tuple(self._place(name) for name in node.outputs)))

    def _shape(self, node: Node) -> Tensor:
        value = self._example.get(node.inputs[0], self._known.get(node.inputs[0]))
        assert value is not None
        end = node.attributes.get("end")
        assert end is None or isinstance(end, int)
        return torch.tensor(value.shape[whole(node, "start", 0) : end], dtype=torch.int64)

    def _read(self, name: str) -> int:
        return self.places[name] if name in self.places else self._constant(name)

    def _constant(self, name: str) -> int:
        place = self._place(name)
        self.start[place] = self._example[name] = self._there(name)
        return place

    def _there(self, name: str) -> Any:
        if name in self._weights.known:
            return self._weights.there(name)
        value = self._known[name]
        return value.to(self._weights.device) if isinstance(value, Tensor) else value

    def _value(self, name: str) -> Any:
        return self._example[name]

    def _place(self, name: str) -> int:
        if name not in self.places:
            self.places[name] = len(self.start)
            self.start.append(None)
        return self.places[name]


def _several(made: Any) -> tuple[Any, ...]:
    return (made,) if isinstance(made, Tensor) else tuple(made)
