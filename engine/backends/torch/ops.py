"""ONNX operators on single numbers, and sums over axes, as torch functions.

A *maker* looks at a node and at the inputs known when a graph is built (shapes, axes, constants),
and gives the function that runs: tensors in, a tensor (or several) out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.backends.onnx_model import Node
from engine.errors import BundleError

Run = Callable[..., Any]
DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64,
}  # fmt: skip
"""Element types by ONNX's number."""


class Known(Protocol):
    """What of a node's inputs is known before it runs."""

    def has(self, index: int) -> bool:
        """Is there such an input?"""
        ...

    def numbers(self, index: int) -> list[Any]:
        """Its content, flat; BundleError where it is only known when the graph runs."""
        ...


Maker = Callable[[Node, Known], Run]
OPS: dict[str, Maker] = {}


def operator(*names: str) -> Callable[[Maker], Maker]:
    """Register a maker."""

    def register(maker: Maker) -> Maker:
        OPS.update(dict.fromkeys(names, maker))
        return maker

    return register


def whole(node: Node, name: str, usual: int) -> int:
    """An attribute that is a whole number."""
    value = node.attributes.get(name, usual)
    assert isinstance(value, int)
    return value


def wholes(node: Node, name: str, usual: Sequence[int]) -> list[int]:
    """An attribute that is a list of whole numbers."""
    value = node.attributes.get(name, list(usual))
    assert isinstance(value, list)
    return [int(one) for one in value]


def number(node: Node, name: str, usual: float) -> float:
    """An attribute that is a number."""
    value = node.attributes.get(name, usual)
    assert isinstance(value, int | float)
    return float(value)


def text(node: Node, name: str, usual: str) -> str:
    """An attribute that is a text."""
    value = node.attributes.get(name, usual.encode())
    assert isinstance(value, bytes)
    return value.decode()


def refused(node: Node, why: str) -> BundleError:
    """The error for a form of an operator that is not known here."""
    return BundleError(f"operator {node.op} {why}: torch does not play that, use --backend ort")


def _div(a: Tensor, b: Tensor) -> Tensor:
    exact = a.is_floating_point()
    return torch.div(a, b) if exact else torch.div(a, b, rounding_mode="trunc")


def _pow(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


def _largest(*x: Tensor) -> Tensor:
    out = x[0]
    for other in x[1:]:
        out = torch.maximum(out, other)
    return out


def _smallest(*x: Tensor) -> Tensor:
    out = x[0]
    for other in x[1:]:
        out = torch.minimum(out, other)
    return out


PLAIN: dict[str, Run] = {
    "Abs": torch.abs, "Add": torch.add, "And": torch.logical_and, "Atan": torch.atan,
    "Ceil": torch.ceil, "Cos": torch.cos, "Div": _div, "Equal": torch.eq, "Erf": torch.erf,
    "Exp": torch.exp, "Floor": torch.floor, "Greater": torch.gt, "GreaterOrEqual": torch.ge,
    "Identity": lambda x: x, "Less": torch.lt, "LessOrEqual": torch.le, "Log": torch.log,
    "Max": _largest, "Min": _smallest, "Mul": torch.mul, "Neg": torch.neg,
    "Not": torch.logical_not, "Or": torch.logical_or, "Pow": _pow,
    "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round,
    "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin,
    "Softplus": torch.nn.functional.softplus, "Sqrt": torch.sqrt, "Sub": torch.sub,
    "Tanh": torch.tanh, "Where": torch.where, "Xor": torch.logical_xor,
}  # fmt: skip
"""Operators without attributes."""
for _name, _run in PLAIN.items():
    OPS[_name] = lambda node, known, run=_run: run  # type: ignore[misc]


@operator("Mod")
def _mod(node: Node, known: Known) -> Run:
    return torch.fmod if whole(node, "fmod", 0) else torch.remainder


@operator("Gelu")
def _gelu(node: Node, known: Known) -> Run:
    form = text(node, "approximate", "none")
    return lambda x: torch.nn.functional.gelu(x, approximate=form)


@operator("Cast")
def _cast(node: Node, known: Known) -> Run:
    to = whole(node, "to", 0)
    if to not in DTYPES:
        raise refused(node, f"to type {to}")
    return lambda x: x.to(DTYPES[to])


@operator("CastLike")
def _cast_like(node: Node, known: Known) -> Run:
    return lambda x, like: x.to(like.dtype)


@operator("Clip")
def _clip(node: Node, known: Known) -> Run:
    def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        x = x if low is None else torch.maximum(x, low)
        return x if high is None else torch.minimum(x, high)

    return clip


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node, known: Known) -> Run:
    axis = whole(node, "axis", -1)
    run = torch.softmax if node.op == "Softmax" else torch.log_softmax
    return lambda x: run(x, axis)


@operator("CumSum")
def _cumsum(node: Node, known: Known) -> Run:
    if whole(node, "exclusive", 0) or whole(node, "reverse", 0):
        raise refused(node, "exclusive or reversed")
    (axis,) = known.numbers(1)
    return lambda x, _: torch.cumsum(x, int(axis))


# ---- sums over axes --------------------------------------------------------------------------


REDUCED: dict[str, Run] = {
    "ReduceSum": torch.sum, "ReduceMean": torch.mean, "ReduceMax": torch.amax,
    "ReduceMin": torch.amin, "ReduceL2": lambda x, dim, keep: x.square().sum(dim, keep).sqrt(),
}  # fmt: skip


@operator(*REDUCED)
def _reduce(node: Node, known: Known) -> Run:
    run, keep = REDUCED[node.op], bool(whole(node, "keepdims", 1))
    axes = known.numbers(1) if known.has(1) else wholes(node, "axes", ())
    if not axes and whole(node, "noop_with_empty_axes", 0):
        return lambda x, *_: x
    return lambda x, *_: run(x, tuple(axes) or tuple(range(x.dim())), keep)


@operator("ArgMax", "ArgMin")
def _arg(node: Node, known: Known) -> Run:
    if whole(node, "select_last_index", 0):
        raise refused(node, "that selects the last index")
    run = torch.argmax if node.op == "ArgMax" else torch.argmin
    axis, keep = whole(node, "axis", 0), bool(whole(node, "keepdims", 1))
    return lambda x: run(x, axis, keep)
