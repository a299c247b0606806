"""The recurrence of the simple recurrent unit (arXiv 1709.02755 v1), gates from the input alone.

c_k = f_k·c_{k−1} + e_k for k = 0 … K−1, along the leading axis, every column for itself. With
g_k = ∂L/∂c_k + f_{k+1}·g_{k+1} and g_{K−1} = ∂L/∂c_{K−1} + ∂L/∂c_final, the gradients are
∂L/∂e_k = g_k, ∂L/∂f_k = g_k·c_{k−1} and ∂L/∂c_initial = f_0·g_0.

A program of the kernel holds one state for each of its columns in registers and walks the leading
axis once: the forward pass reads f and e and writes c, the backward pass reads three and writes
two tensors of that size. The rows to come are fetched ahead (num_stages).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.launch import FUSED, can_launch, jit, tl, triton, wide

COLUMNS = 256
"""Columns of a program, two a thread: rows of half precision too are fetched 4 bytes a time."""


def sru_plain(
    forget: Tensor, entering: Tensor, initial: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The same as `sru`, one step after another in torch."""
    _check(forget, entering, initial)
    c = torch.zeros_like(entering[0]) if initial is None else initial
    states = []
    for f, e in zip(forget, entering, strict=True):
        c = f * c + e
        states.append(c)
    return torch.stack(states), c


def sru(forget: Tensor, entering: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """All states and the last one, with first derivatives for all three inputs.

    forget, entering [K, ...], initial [...] (zeros where None), of one floating type on one device
    -> states [K, ...], final [...]. Any strides are taken; what is not contiguous is copied first.
    ValueError for shapes, types or devices that do not fit, and for K = 0.
    """
    if not can_launch(forget, entering, initial):
        return sru_plain(forget, entering, initial)
    _check(forget, entering, initial)
    start = torch.zeros_like(entering[0]) if initial is None else initial
    states, final = _SRU.apply(forget, entering, start)
    return states, final


def _check(forget: Tensor, entering: Tensor, initial: Tensor | None) -> None:
    if not entering.dim() or not entering.shape[0]:
        raise ValueError(
            f"entering is {list(entering.shape)}: the leading axis has at least 1 step"
        )
    wanted = {"forget": (forget, entering.shape)}
    if initial is not None:
        wanted["initial"] = (initial, entering.shape[1:])
    for name, (tensor, shape) in wanted.items():
        if tensor.shape != shape:
            raise ValueError(
                f"{name} is {list(tensor.shape)}, with entering {list(shape)} is meant"
            )
        if (tensor.dtype, tensor.device) != (entering.dtype, entering.device):
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, "
                f"entering is {entering.dtype} on {entering.device}"
            )
    if not entering.is_floating_point():
        raise ValueError(f"entering is {entering.dtype}, a floating type is needed")


class _SRU(torch.autograd.Function):
    """The two kernels as one operation of autograd."""

    @staticmethod
    def forward(
        ctx: Any, forget: Tensor, entering: Tensor, initial: Tensor
    ) -> tuple[Tensor, Tensor]:
        forget, entering, initial = (x.contiguous() for x in (forget, entering, initial))
        states, final = torch.empty_like(entering), torch.empty_like(initial)
        launch_forward(forget, entering, initial, states, final)
        ctx.save_for_backward(forget, states, initial)
        return states, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_final: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        forget, states, initial = ctx.saved_tensors
        d_forget, d_entering = torch.empty_like(forget), torch.empty_like(states)
        d_initial = torch.empty_like(initial)
        launch_backward(
            forget, states, initial, d_states.contiguous(), d_final.contiguous(),
            d_forget, d_entering, d_initial,
        )  # fmt: skip
        return d_forget, d_entering, d_initial


def launch_forward(
    forget: Tensor, entering: Tensor, initial: Tensor, states: Tensor, final: Tensor
) -> None:
    """Everything contiguous; writes all of `states` and `final`."""
    count = initial.numel()
    with torch.cuda.device_of(states):
        _forward[(triton.cdiv(count, COLUMNS),)](
            forget, entering, initial, states, final, forget.shape[0], count,
            BLOCK=COLUMNS, WIDE=wide(states), num_warps=4, **FUSED,
        )  # fmt: skip


def launch_backward(
    forget: Tensor, states: Tensor, initial: Tensor, d_states: Tensor, d_final: Tensor,
    d_forget: Tensor, d_entering: Tensor, d_initial: Tensor,
) -> None:  # fmt: skip
    """Everything contiguous; writes all of the last three."""
    length, count = forget.shape[0], initial.numel()
    with torch.cuda.device_of(states):
        _backward[(triton.cdiv(count, COLUMNS),)](
            forget, states, initial, d_states, d_final, d_forget, d_entering, d_initial,
            length, count, (length - 1) * count,
            BLOCK=COLUMNS, WIDE=wide(states), num_warps=4, **FUSED,
        )  # fmt: skip


@jit
def _forward(  # type: ignore[no-untyped-def]
    forget, entering, initial, states, final, length, count,
    BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < count
    c = tl.load(initial + column, inside).to(WIDE)
    at = column
    for _ in tl.range(0, length, num_stages=4):
        f = tl.load(forget + at, inside).to(WIDE)
        c = f * c + tl.load(entering + at, inside).to(WIDE)
        tl.store(states + at, c, inside)
        at += count
    tl.store(final + column, c, inside)


@jit
def _backward(  # type: ignore[no-untyped-def]
    forget, states, initial, d_states, d_final, d_forget, d_entering, d_initial,
    length, count, last, BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < count
    g = tl.load(d_final + column, inside).to(WIDE)
    at = column + last
    for _ in tl.range(1, length, num_stages=4):  # k = length − 1 … 1
        g += tl.load(d_states + at, inside).to(WIDE)
        before = tl.load(states + at - count, inside).to(WIDE)
        tl.store(d_entering + at, g, inside)
        tl.store(d_forget + at, g * before, inside)
        g *= tl.load(forget + at, inside).to(WIDE)
        at -= count
    g += tl.load(d_states + column, inside).to(WIDE)
    tl.store(d_entering + column, g, inside)
    tl.store(d_forget + column, g * tl.load(initial + column, inside).to(WIDE), inside)
    tl.store(d_initial + column, g * tl.load(forget + column, inside).to(WIDE), inside)
