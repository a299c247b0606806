"""One step down the ladder for every frame of a window at once, guidance included.

z ← cos(ω)·z − sin(ω)·v with v = v_absent + g·(v_asked − v_absent), each frame with its own ω and
its own g. A frame with ω = 0 is context: it keeps its bits, whatever its velocity holds.

In torch this is nine operations that each go through memory; the kernel reads z and the two
velocities and writes z, for the frames that turn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.launch import FUSED, can_launch, jit, tl, triton, wide

TILE = 1024
"""Elements of a program: frames × values."""


def ladder_step_plain(
    z: Tensor, asked: Tensor, turn: Tensor, absent: Tensor | None = None,
    guidance: Tensor | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The same as `ladder_step`, in torch; has derivatives where `out` is not given."""
    _check(z, asked, turn, absent, guidance, out)
    v = asked
    if absent is not None and guidance is not None:
        v = absent + guidance[..., None] * (asked - absent)
    w = turn[..., None]
    after = torch.where(w == 0, z, torch.cos(w) * z - torch.sin(w) * v).to(z.dtype)
    return after if out is None else out.copy_(after)


def ladder_step(
    z: Tensor, asked: Tensor, turn: Tensor, absent: Tensor | None = None,
    guidance: Tensor | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The latents one rung lower.

    z, asked, absent [..., dim], turn (ω, radians) and guidance (g) [...] -> [..., dim] of z's type.
    `absent` and `guidance` go together. `out` is written and returned: contiguous, like z, and it
    may be z itself; then frames with ω = 0 are neither read nor written. Where a derivative is
    wanted, the plain version runs. ValueError for what does not fit.
    """
    tensors = [x for x in (z, asked, turn, absent, guidance) if x is not None]
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        return ladder_step_plain(z, asked, turn, absent, guidance, out)
    if not can_launch(*tensors):
        return ladder_step_plain(z, asked, turn, absent, guidance, out)
    _check(z, asked, turn, absent, guidance, out)
    out = torch.empty(z.shape, dtype=z.dtype, device=z.device) if out is None else out
    launch(z, asked, turn, absent, guidance, out)
    return out


def _check(
    z: Tensor, asked: Tensor, turn: Tensor, absent: Tensor | None, guidance: Tensor | None,
    out: Tensor | None,
) -> None:  # fmt: skip
    if (absent is None) != (guidance is None):
        raise ValueError("absent and guidance go together: give both, or none")
    if not z.dim():
        raise ValueError("z is a single number, frames [..., dim] are needed")
    frames, values = z.shape[:-1], z.shape
    wanted = {"asked": (asked, values), "absent": (absent, values), "out": (out, values),
              "turn": (turn, frames), "guidance": (guidance, frames)}  # fmt: skip
    for name, (tensor, shape) in wanted.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{name} is {list(tensor.shape)}, {list(shape)} goes with z")
        if tensor.device != z.device or not tensor.is_floating_point():
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, "
                f"a floating type on {z.device} is needed"
            )
    if out is not None and (out.dtype != z.dtype or not out.is_contiguous()):
        raise ValueError(f"out is to be contiguous and {z.dtype}, as z is")


def launch(
    z: Tensor, asked: Tensor, turn: Tensor, absent: Tensor | None, guidance: Tensor | None,
    out: Tensor,
) -> None:  # fmt: skip
    """Writes all of `out`, or, where that is z, the frames that turn."""
    in_place = out.data_ptr() == z.data_ptr() and z.is_contiguous()
    dim = z.shape[-1]
    columns = min(triton.next_power_of_2(max(dim, 1)), TILE)
    rows = TILE // columns
    read = [x.contiguous() for x in (z, asked, turn)]
    beside = [x.contiguous() for x in (absent, guidance) if x is not None] or read[1:]
    grid = (triton.cdiv(turn.numel(), rows), triton.cdiv(dim, columns))
    with torch.cuda.device_of(out):
        _step[grid](
            *read, *beside, out, turn.numel(), dim, GUIDED=absent is not None, IN_PLACE=in_place,
            ROWS=rows, COLUMNS=columns, WIDE=wide(z), num_warps=4, **FUSED,
        )  # fmt: skip


@jit
def _step(  # type: ignore[no-untyped-def]
    z, asked, turn, absent, guidance, out, frames, dim,
    GUIDED: tl.constexpr, IN_PLACE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    at = row * dim + column
    inside = (row < frames) & (column < dim)
    w = tl.load(turn + row, row < frames, other=0.0).to(WIDE)
    turning = inside & (w != 0.0)
    v = tl.load(asked + at, turning, other=0.0).to(WIDE)
    if GUIDED:
        base = tl.load(absent + at, turning, other=0.0).to(WIDE)
        g = tl.load(guidance + row, row < frames, other=0.0).to(WIDE)
        v = base + g * (v - base)
    kept = tl.load(z + at, turning if IN_PLACE else inside, other=0.0)
    after = (tl.cos(w) * kept.to(WIDE) - tl.sin(w) * v).to(kept.dtype)
    tl.store(out + at, tl.where(w == 0.0, kept, after), turning if IN_PLACE else inside)
