"""Parts of the velocity network: rotary attention that can look back on a cache, and the SRU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POSITION_PERIOD = 4096
"""Positions (half segments) after which the rotary angles repeat exactly."""


def rotary_turns(head_width: int) -> Tensor:
    """int64 [head_width/2]: whole turns a period of each rotary pair.

    Wavelengths run from 2π to about 400 positions, rounded so that they divide the period: a
    stream may play for months and its positions wrap without a seam.
    """
    pairs = head_width // 2
    slowest = 400.0 / (2 * math.pi)
    wavelengths = 2 * math.pi * slowest ** (torch.arange(pairs).double() / max(pairs - 1, 1))
    return torch.round(POSITION_PERIOD / wavelengths).to(torch.int64)


def rotary(positions: Tensor, turns: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """positions int64 [N] -> cos, sin [N, head_width/2] of the rotary angles (RoFormer)."""
    turned = torch.remainder(positions[:, None] * turns[None, :], POSITION_PERIOD)
    angle = turned.to(dtype) * (2 * math.pi / POSITION_PERIOD)
    return torch.cos(angle), torch.sin(angle)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., N, heads, head_width] turned by its position; cos, sin [N, head_width/2]."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class RMSNorm(nn.Module):
    """x / rms(x) · gain, over the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.gain


class PaperMLP(nn.Module):
    """RMSNorm(W2·GELU(x·W1 + b1) + b2) (MeLoDy, appendix)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.outer = nn.Linear(outputs, outputs)
        self.norm = RMSNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., inputs] -> [..., outputs]."""
        y: Tensor = self.norm(self.outer(F.gelu(self.inner(x))))
        return y


class FeedForward(nn.Module):
    """Gated feed-forward (SwiGLU)."""

    def __init__(self, width: int, multiple: float) -> None:
        super().__init__()
        inner = int(width * multiple)
        self.enter = nn.Linear(width, 2 * inner)
        self.leave = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        gate, value = self.enter(x).chunk(2, dim=-1)
        y: Tensor = self.leave(F.silu(gate) * value)
        return y


class SelfAttention(nn.Module):
    """Multi-head attention over a sequence, and over what a cache remembers of earlier ones."""

    turns: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        self.register_buffer("turns", rotary_turns(width // heads), persistent=False)

    def forward(
        self, x: Tensor, positions: Tensor, mask: Tensor | None, past: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Attend along the sequence axis.

        x [B, N, width], positions int64 [N], mask added to the scores [N, P + N] or None, past
        [B, P, 2·width] (rotated keys, values) or None -> y [B, N, width], this sequence's own
        rotated keys and values [B, N, 2·width].
        """
        batch, count, width = x.shape
        q, k, v = self.project(x).reshape(batch, count, 3, self.heads, -1).unbind(2)
        cos, sin = rotary(positions, self.turns, x.dtype)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        own = torch.cat([k.reshape(batch, count, width), v.reshape(batch, count, width)], dim=-1)
        seen = own if past is None else torch.cat([past, own], dim=1)
        keys, values = seen.reshape(batch, seen.shape[1], 2, self.heads, -1).unbind(2)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=mask
        )
        return self.leave(y.transpose(1, 2).reshape(batch, count, width)), own


class CrossAttention(nn.Module):
    """Attention from segments to the semantic tokens of their chunk, by their distance in time."""

    pitch: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.project = nn.Linear(width, 2 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.leave.weight)  # a network without tokens may be gone on from
        pairs = width // heads // 2
        slower = torch.arange(pairs, dtype=torch.float64) / max(pairs - 1, 1)
        self.register_buffer("pitch", (16.0**-slower).float(), persistent=False)

    def forward(self, x: Tensor, at: Tensor, tokens: Tensor, token_at: Tensor) -> Tensor:
        """x [B, N, width] at times at [N], tokens [B, n, width] at token_at [n], in tokens.

        -> [B, N, width]. Times are small: they count from the start of the chunk.
        """
        batch, count, width = x.shape
        q = self.query(x).reshape(batch, count, self.heads, -1)
        k, v = self.project(tokens).reshape(
            batch, tokens.shape[1], 2, self.heads, -1).unbind(2)  # fmt: skip
        q, k = self._turned(q, at), self._turned(k, token_at)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        out: Tensor = self.leave(y.transpose(1, 2).reshape(batch, count, width))
        return out

    def _turned(self, x: Tensor, at: Tensor) -> Tensor:
        angle = at.to(x.dtype)[:, None] * self.pitch.to(x.dtype)
        return rotate(x, torch.cos(angle), torch.sin(angle))


def recurrence(forget: Tensor, entering: Tensor) -> Tensor:
    """c_k = forget_k·c_{k−1} + entering_k along the leading axis, from c_0 = 0; [K, ...]."""
    c = entering[0]
    states = [c]
    for k in range(1, entering.shape[0]):
        c = forget[k] * c + entering[k]
        states.append(c)
    return torch.stack(states)


def recurrence_scan(forget: Tensor, entering: Tensor) -> Tensor:
    """The same as `recurrence`, as one scan: exports to ONNX Scan."""
    from torch._higher_order_ops.scan import scan

    def step(c: Tensor, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        c = inputs[0] * c + inputs[1]
        return c, c.clone()

    return scan(step, torch.zeros_like(entering[0]), (forget, entering))[1]  # type: ignore[no-any-return]


def fused(forget: Tensor, entering: Tensor) -> Tensor:
    """The same as `recurrence`, in one walk over memory; plain where there is no Triton."""
    from kernels.sru import sru  # loads Triton, which a CPU goes without

    return sru(forget, entering)[0]


class SRULayer(nn.Module):
    """Bidirectional simple recurrent unit with gates from the input alone (arXiv 1709.02755 v1).

    f = σ(W_f x + b_f), r = σ(W_r x + b_r), c_k = f·c_{k−1} + (1 − f)·W x, h = r·c + (1 − r)·x',
    where x' is the input itself, or a projection where widths differ. Without the state inside
    the gates the recurrence is associative and everything costly is one matrix product.
    """

    scan = False
    """True while exporting for a CPU: the recurrence becomes one ONNX Scan."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.highway = inputs == 2 * width
        parts = 3 if self.highway else 4
        self.project = nn.Linear(inputs, parts * 2 * width)
        with torch.no_grad():  # remember at first: f ≈ 0.73
            self.project.bias[2 * width : 4 * width] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """x [N, K, inputs], independent along N -> h [N, K, 2·width]; forward, then backward."""
        u = self.project(x)
        parts = u.transpose(0, 1).split(2 * self.width, dim=-1)
        forget = torch.sigmoid(parts[1])
        entering = (1 - forget) * parts[0]
        run = recurrence_scan if self.scan else fused if x.is_cuda else recurrence
        c = self.mirror(run(self.mirror(forget), self.mirror(entering))).transpose(0, 1)
        reset = torch.sigmoid(parts[2]).transpose(0, 1)
        skip = x if self.highway else parts[3].transpose(0, 1)
        return reset * c + (1 - reset) * skip

    def mirror(self, x: Tensor) -> Tensor:
        """Flip time (leading axis) for the backward half of the last axis."""
        return torch.cat([x[..., : self.width], x[..., self.width :].flip(0)], dim=-1)
