"""Our kernels against a copy: the fraction of the measured copy bandwidth that each reaches.

Every kernel here reads and writes memory once and computes next to nothing, so no kernel can be
quicker than a copy of as many bytes; the sizes are those of many streams, large enough that memory
and not the launch is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.gpu_clock import Clock
from kernels import ladder, launch, sru

CALLS = 30


@dataclass(frozen=True)
class Sizes:
    """Of the recurrence [steps, columns], and of the latents [frames, values]."""

    steps: int = 64
    columns: int = 1 << 20
    frames: int = 1 << 21
    values: int = 16


TINY = Sizes(4, 64, 32, 8)


@dataclass(frozen=True)
class Reached:
    """One kernel: bytes moved a second, of those a copy moves."""

    name: str
    bytes: int
    bytes_per_s: float
    copy_bytes_per_s: float

    @property
    def fraction(self) -> float:
        """Of the copy."""
        return self.bytes_per_s / self.copy_bytes_per_s


def measure(clock: Clock, sizes: Sizes | None = None) -> list[Reached]:
    """Every kernel in float32 and bfloat16; the plain versions where there is no Triton."""
    sizes = sizes or Sizes()
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        for name, tensors, work in _works(clock.where, sizes, dtype):
            moved = sum(x.numel() * x.element_size() for x in tensors)
            copied = copy_per_s(clock, moved)
            took_s = clock.per_call_s(work, CALLS if clock.gpu else 2, rounds=5 if clock.gpu else 1)
            found.append(Reached(f"{name}, {str(dtype)[6:]}", moved, moved / took_s, copied))
    return found


def copy_per_s(clock: Clock, moved: int) -> float:
    """Bytes read and written a second by a copy that touches so many."""
    source = torch.ones(max(moved // 8, 1), device=clock.where)
    target = torch.empty_like(source)
    took_s = clock.per_call_s(lambda: target.copy_(source), CALLS if clock.gpu else 2)
    return 2 * source.numel() * source.element_size() / took_s


def _works(
    where: torch.device, sizes: Sizes, dtype: torch.dtype
) -> list[tuple[str, list[Tensor], Callable[[], object]]]:
    """Name, what is read and written, and the call."""
    shape = sizes.steps, sizes.columns
    f, e, d, states, df, de = (torch.rand(shape, device=where).to(dtype) for _ in range(6))
    start, final, dstart = (torch.zeros(sizes.columns, device=where, dtype=dtype) for _ in range(3))
    frames = sizes.frames, sizes.values
    z, asked, absent = (torch.randn(frames, device=where).to(dtype) for _ in range(3))
    turn, guidance = (torch.full((sizes.frames,), x, device=where) for x in (0.1, 2.5))
    out = torch.empty_like(z)

    def backward() -> None:
        sru.launch_backward(f, states, start, d, start, df, de, dstart)

    if not launch.can_launch(f):  # there is nothing of ours to launch: the plain version is timed
        return [("sru forward, plain", [f, e, states], lambda: sru.sru_plain(f, e, start)),
                ("ladder step, plain", [z, asked, out],
                 lambda: ladder.ladder_step_plain(z, asked, turn))]  # fmt: skip
    return [
        ("sru forward", [f, e, states], lambda: sru.launch_forward(f, e, start, states, final)),
        ("sru backward", [f, states, d, df, de], backward),
        ("ladder step", [z, asked, out, turn],
         lambda: ladder.launch(z, asked, turn, None, None, out)),
        ("ladder step, guided", [z, asked, absent, out, turn, guidance],
         lambda: ladder.launch(z, asked, turn, absent, guidance, out)),
    ]  # fmt: skip
