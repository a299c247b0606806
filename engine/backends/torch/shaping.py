"""ONNX operators that move numbers about without changing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.onnx_model import Node
from engine.backends.torch.ops import Known, Run, operator, refused, text, whole, wholes
from engine.session import Array


@operator("Reshape")
def _reshape(node: Node, known: Known) -> Run:
    wanted = known.numbers(1)
    if whole(node, "allowzero", 0):
        return lambda x, _: x.reshape(wanted)
    return lambda x, _: x.reshape([n or x.shape[i] for i, n in enumerate(wanted)])


@operator("Transpose")
def _transpose(node: Node, known: Known) -> Run:
    order = wholes(node, "perm", ())
    return lambda x: x.permute(order or tuple(reversed(range(x.dim()))))


@operator("Unsqueeze")
def _unsqueeze(node: Node, known: Known) -> Run:
    axes = known.numbers(1)

    def unsqueeze(x: Tensor, _: Tensor) -> Tensor:
        rank = x.dim() + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze


@operator("Squeeze")
def _squeeze(node: Node, known: Known) -> Run:
    if not known.has(1):
        return lambda x: x.squeeze()
    axes = tuple(known.numbers(1))
    return lambda x, _: x.squeeze(axes)


@operator("Flatten")
def _flatten(node: Node, known: Known) -> Run:
    axis = whole(node, "axis", 1)
    return lambda x: x.reshape(int(torch.tensor(x.shape[:axis]).prod()), -1)


@operator("Concat")
def _concat(node: Node, known: Known) -> Run:
    axis = whole(node, "axis", 0)
    return lambda *x: torch.cat(x, axis)


@operator("Split", "SplitToSequence")
def _split(node: Node, known: Known) -> Run:
    """Tensors, or one sequence of them: a tuple either way."""
    axis, count = whole(node, "axis", 0), whole(node, "num_outputs", len(node.outputs))
    if known.has(1):
        sizes = known.numbers(1)
        if node.op == "Split":
            return lambda x, _: x.split(sizes, axis)
        return lambda x, _: (x.split(sizes if len(sizes) > 1 else sizes[0], axis),)
    if node.op == "SplitToSequence":
        keep = whole(node, "keepdims", 1)
        return lambda x: (x.split(1, axis) if keep else x.unbind(axis),)
    return lambda x: x.split(-(-x.shape[axis] // count), axis)


@operator("SequenceAt")
def _sequence_at(node: Node, known: Known) -> Run:
    (index,) = known.numbers(1)
    return lambda sequence, _: sequence[index]


@operator("Slice")
def _slice(node: Node, known: Known) -> Run:
    starts, ends = known.numbers(1), known.numbers(2)
    axes = known.numbers(3) if known.has(3) else list(range(len(starts)))
    steps = known.numbers(4) if known.has(4) else [1] * len(starts)

    def cut(x: Tensor, *_: Tensor) -> Tensor:
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            x = _every(x, axis % x.dim(), _places(start, end, step, x.shape[axis]))
        return x

    return cut


def _places(start: int, end: int, step: int, size: int) -> range:
    """The places that ONNX means by start, end and step along an axis."""
    start, end = (at + size if at < 0 else at for at in (start, end))
    low, high = (0, size) if step > 0 else (-1, size - 1)
    return range(min(max(start, max(low, 0)), high), min(max(end, low), high), step)


def _every(x: Tensor, axis: int, places: range) -> Tensor:
    if not places:
        return x.narrow(axis, 0, 0)
    ahead = places if places.step > 0 else places[::-1]
    x = x[(slice(None),) * axis + (slice(ahead.start, ahead[-1] + 1, ahead.step),)]
    return x if places.step > 0 else x.flip(axis)


@operator("Gather")
def _gather(node: Node, known: Known) -> Run:
    axis = whole(node, "axis", 0)

    def gather(x: Tensor, index: Tensor) -> Tensor:
        size = x.shape[axis]
        flat = torch.where(index < 0, index + size, index).reshape(-1)
        shape = (*x.shape[:axis], *index.shape, *x.shape[axis % x.dim() + 1 :])
        return x.index_select(axis, flat.long()).reshape(shape)

    try:
        places = known.numbers(1)
    except LookupError:
        return gather
    if len(places) == 1:
        return lambda x, index: _one(x, axis, int(places[0]), index.dim())
    return gather


def _one(x: Tensor, axis: int, place: int, rank: int) -> Tensor:
    """A single place: a view, of as many axes as the index had."""
    found = x.select(axis, place)
    for _ in range(rank):
        found = found.unsqueeze(axis % x.dim())
    return found


@operator("GatherElements")
def _gather_elements(node: Node, known: Known) -> Run:
    axis = whole(node, "axis", 0)
    return lambda x, index: torch.gather(
        x, axis, torch.where(index < 0, index + x.shape[axis], index)
    )


@operator("GatherND")
def _gather_nd(node: Node, known: Known) -> Run:
    if whole(node, "batch_dims", 0):
        raise refused(node, "with batch axes")
    return lambda x, index: x[tuple(index.unbind(-1))]


@operator("ScatterND")
def _scatter_nd(node: Node, known: Known) -> Run:
    if text(node, "reduction", "none") != "none":
        raise refused(node, "that adds up")
    return lambda x, index, new: x.index_put(tuple(index.unbind(-1)), new)


@operator("ScatterElements")
def _scatter(node: Node, known: Known) -> Run:
    if text(node, "reduction", "none") != "none":
        raise refused(node, "that adds up")
    axis = whole(node, "axis", 0)
    return lambda x, index, new: x.scatter(axis, index, new)


@operator("Expand")
def _expand(node: Node, known: Known) -> Run:
    wanted = known.numbers(1)
    return lambda x, _: x.expand(np.broadcast_shapes(tuple(x.shape), tuple(wanted)))


@operator("Tile")
def _tile(node: Node, known: Known) -> Run:
    times = known.numbers(1)
    return lambda x, _: x.repeat(times)


@operator("Range")
def _range(node: Node, known: Known) -> Run:
    start, end, step = (known.numbers(i)[0] for i in range(3))
    return lambda first, *_: torch.arange(start, end, step, dtype=first.dtype, device=first.device)


@operator("ConstantOfShape")
def _filled(node: Node, known: Known) -> Run:
    shape, value = known.numbers(0), node.attributes.get("value")
    fill = torch.zeros(1) if value is None else torch.from_numpy(_array(value).copy())
    return lambda like: fill.to(like.device).expand(shape)


@operator("Constant")
def _constant(node: Node, known: Known) -> Run:
    value = node.attributes.get("value")
    if value is None:
        raise refused(node, "that is no tensor")
    tensor = torch.from_numpy(_array(value).copy())
    return lambda: tensor


def _array(value: Any) -> Array:
    return value  # type: ignore[no-any-return]


@operator("Pad")
def _pad(node: Node, known: Known) -> Run:
    """Pads are (all begins, all ends) of the axes named, or of all."""
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    mode, pads = text(node, "mode", "constant"), known.numbers(1)
    axes = known.numbers(3) if known.has(3) else list(range(len(pads) // 2))
    fill = known.numbers(2)[0] if known.has(2) else 0
    if mode not in modes:
        raise refused(node, f"of mode {mode}")

    def pad(x: Tensor, *_: Tensor) -> Tensor:
        sides = [[0, 0] for _ in range(x.dim())]
        for i, axis in enumerate(axes):
            sides[axis] = [pads[i], pads[i + len(axes)]]
        while len(sides) > 1 and sides[0] == [0, 0]:  # torch counts from the last axis
            sides = sides[1:]
        flat = [n for side in reversed(sides) for n in side]
        if mode == "constant":
            return F.pad(x, flat, value=fill)
        return F.pad(x.reshape(1, *x.shape), flat, modes[mode])[0] if x.dim() == len(sides) else (
            F.pad(x, flat, modes[mode]))  # fmt: skip

    return pad


@operator("Trilu")
def _trilu(node: Node, known: Known) -> Run:
    offset = known.numbers(1)[0] if known.has(1) else 0
    run = torch.triu if whole(node, "upper", 1) else torch.tril
    return lambda x, *_: run(x, int(offset))
