"""Parts of the velocity network: rotary attention that can look back on a cache, and the SRU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Past(NamedTuple):
    """Keys and values [..., P, head_width]; keys are longer where there are marks, see `marked`."""

    keys: Tensor
    values: Tensor
    marks: Tensor | None = None


Swing = tuple[Tensor, Tensor]
"""What turns pairs of a head: [..., head_width] for what stays, and for what crosses over."""

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
    """positions int64 [..., N] -> cos, sin [..., N, head_width/2] of the angles (RoFormer)."""
    turned = torch.remainder(positions[..., None] * turns, POSITION_PERIOD)
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
    """Attention over a sequence, and over what a cache remembers of earlier ones.

    Several heads of queries may share one of keys and values (grouped-query attention, Ainslie et
    al., arXiv 2305.13245): a cache is smaller by as much.
    """

    turns: Tensor

    def __init__(self, width: int, heads: int, kv_heads: int | None = None) -> None:
        """kv_heads, default heads, divide heads: each is what heads / kv_heads of queries meet."""
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.group, each = heads // self.kv_heads, width // heads
        self.project = nn.Linear(width, width + 2 * self.kv_heads * each, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        self.register_buffer("turns", rotary_turns(each), persistent=False)

    def turning(self, positions: Tensor, dtype: torch.dtype) -> Swing:
        """What queries and keys at these positions int64 [N] or [B, 1, 1, N] are turned by."""
        return swinging(*rotary(positions, self.turns, dtype))

    def forward(
        self, x: Tensor, turning: Swing, mask: Tensor | None = None, past: Past | None = None,
        near: Past | None = None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """Attend along the axes of x between the first two and the last, as one sequence of N.

        x [B, w, ..., width], turning as `turning` gives it, mask as `shared` makes it of what is
        added to the scores, [N, P + N] or [B, 1, 1, N, P + Q + N], past: turned keys and values
        [B, w, kv_heads, P, head_width] each, which stay where they lie; near: the same of a few, Q,
        that stand between those and x -> y like x, and this sequence's own turned keys and values.
        Queries that share a head of keys stand behind each other, as one longer sequence.
        """
        sizes, each = [self.heads + self.kv_heads, self.kv_heads], 2 * self.turns.shape[0]
        qkv = self.project(x).reshape(*x.shape[:2], -1, sum(sizes), each).transpose(2, 3)
        qk, values = qkv.split(sizes, dim=2)
        queries, keys = swing(qk, turning).split([self.heads, self.kv_heads], dim=2)
        asking = queries.reshape(*x.shape[:2], self.kv_heads, -1, each)
        if past is None:
            q, k, v = (part.flatten(0, 1) for part in (asking, keys, values))
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            own = Past(keys, values)
            y = look_back(asking, own if near is None else appended(near, own), past, mask)
        y = y.reshape(queries.shape)
        return self.leave(y.transpose(2, 3).reshape(x.shape)), Past(keys, values)


def kv_heads_of(projection: Tensor, heads: int) -> int:
    """Heads of keys in a projection [width + 2·kv_heads·d, width] with `heads` of queries."""
    rows, width = projection.shape
    return (rows - width) * heads // (2 * width)


def pooled_heads(
    state: Mapping[str, Tensor], width: int, kv_heads: int, fewer: int
) -> dict[str, Tensor]:
    """The weights of a network with fewer heads of keys and values in every self-attention, each
    the mean of those that it stands for (Ainslie et al., arXiv 2305.13245).

    ValueError unless `fewer` divides those there are.
    """
    if kv_heads % fewer:
        raise ValueError(f"{kv_heads} heads of keys make no {fewer} of them")
    pooled = dict(state)
    for name in pooled:
        if name.endswith(".attend.project.weight"):
            queries, rest = pooled[name].tensor_split([width])
            means = rest.unflatten(0, (2, fewer, kv_heads // fewer, -1)).mean(2)
            pooled[name] = torch.cat([queries, means.flatten(0, 2)])
    return pooled


def shared(mask: Tensor, group: int) -> Tensor:
    """A mask [..., N, M] for each of the queries of a group, which stand behind each other."""
    return mask if group == 1 else torch.cat([mask] * group, dim=-2)


def appended(first: Past, second: Past) -> Past:
    """One behind the other: keys and values [..., P, head_width]."""
    return Past(
        torch.cat([first.keys, second.keys], -2), torch.cat([first.values, second.values], -2)
    )


def marked(past: Past, mask: Tensor, count: int) -> Past:
    """A past whose keys say themselves from whom they are hidden, for groups of `count` queries
    that see the same of it. What `look_back` makes of it costs less for a long one.

    mask [B, 1, 1, N, P + ...] as it is added to scores. Behind each key stand what is added for
    each group, and 1: [..., P, head_width + groups + 1]. A query's marks [N, groups] say its group.
    """
    hidden = mask[..., ::count, : past.keys.shape[-2]].transpose(-1, -2)
    columns = torch.cat([hidden, torch.ones_like(hidden[..., :1])], -1)
    columns = columns.expand(*past.keys.shape[:-1], -1)
    at = torch.arange(hidden.shape[-1])
    marks = (at[:, None] == at[None, :]).to(mask.dtype).repeat_interleave(count, 0)
    return Past(torch.cat([past.keys, columns], -1), past.values, marks)


def swinging(cos: Tensor, sin: Tensor) -> Swing:
    """cos, sin [..., n] of the angles that pairs are turned by, as `swing` takes them."""
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def swing(x: Tensor, by: Swing) -> Tensor:
    """Pairs (x_i, x_{i + n}) of the last axis, 2n long, turned."""
    a, b = x.chunk(2, dim=-1)
    return x * by[0] + torch.cat([b, a], -1) * by[1]


def look_back(queries: Tensor, present: Past, past: Past, mask: Tensor | None) -> Tensor:
    """Attention to a past and to the present, without joining them: the past is not copied.

    Scores are joined instead, [..., heads, N, P + N]. Where the past is `marked` not even these:
    each part is e to the score, the greatest of the present taken off, and their sums divide what
    both bring. Masks and that greatest are in the product with the keys. Scores of the past may be
    greater than it by 80: e to that still is a float32. In music it is 12 (bench/LOG.md).
    """
    queries = queries * queries.shape[-1] ** -0.5
    known, after = past.keys.shape[-2], queries @ present.keys.transpose(-1, -2)
    if past.marks is None:
        scores = torch.cat([queries @ past.keys.transpose(-1, -2), after], dim=-1)
        weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
        return weights[..., :known] @ past.values + weights[..., known:] @ present.values
    after = after if mask is None else after + mask[..., known:]
    greatest = after.amax(-1, keepdim=True)
    marks = past.marks.expand(*queries.shape[:-1], -1)
    old = torch.exp(torch.cat([queries, marks, -greatest], -1) @ past.keys.transpose(-1, -2))
    new = torch.exp(after - greatest)
    heard = old @ past.values + new @ present.values
    return heard / (old.sum(-1, keepdim=True) + new.sum(-1, keepdim=True))


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

    def heard(self, tokens: Tensor, token_at: Tensor) -> Past:
        """Turned keys, and values, of tokens [B, G, n, width] at times token_at [n]."""
        pairs = self.project(tokens).unflatten(-1, (2 * self.heads, -1)).transpose(-3, -2)
        keys, values = pairs.unsqueeze(1).chunk(2, dim=-3)
        return Past(swing(keys, self._turning(token_at, tokens.dtype)), values)

    def forward(self, x: Tensor, at: Tensor, heard: Past) -> Tensor:
        """x [B, w, G, N, width] at times at [w, 1, 1, N], tokens as they are heard -> like x.

        Times are in tokens, and small: they count from the start of the chunk.
        """
        queries = self.query(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        queries = swing(queries, self._turning(at, x.dtype)) * queries.shape[-1] ** -0.5
        weights = torch.softmax(queries @ heard.keys.transpose(-1, -2), dim=-1)
        out: Tensor = self.leave((weights @ heard.values).transpose(-3, -2).flatten(-2))
        return out

    def _turning(self, at: Tensor, dtype: torch.dtype) -> Swing:
        angle = at.to(dtype)[..., None] * self.pitch.to(dtype)
        return swinging(torch.cos(angle), torch.sin(angle))


def recurrence(forget: Tensor, entering: Tensor, dim: int = 0) -> Tensor:
    """c_k = forget_k·c_{k−1} + entering_k along an axis, from c_0 = 0; all states, same shape."""
    (_, c), *steps = zip(forget.split(1, dim), entering.split(1, dim), strict=True)
    states = [c]
    for f, e in steps:
        c = f * c + e
        states.append(c)
    return torch.cat(states, dim)


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
    """True while exporting: the recurrence becomes one ONNX Scan, for who runs it by a kernel."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.highway = inputs == 2 * width
        self.parts = 3 if self.highway else 4
        self.project = nn.Linear(inputs, self.parts * 2 * width)
        with torch.no_grad():  # remember at first: f ≈ 0.73
            self.project.bias[2 * width : 4 * width] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """x [B, K, ..., inputs], time on axis 1 -> h [B, K, ..., 2·width]: forward, backward."""
        w = self.width
        sizes = [w] * 4 + [2 * w] * (self.parts - 2)
        enter, enter_back, keep, keep_back, *rest = self.project(x).split(sizes, dim=-1)
        forget = torch.sigmoid(mirrored(keep, keep_back))
        entering = (1 - forget) * mirrored(enter, enter_back)
        c = mirrored(*self.along(forget, entering).split(w, dim=-1))
        skip = x if self.highway else rest[1]
        return skip + torch.sigmoid(rest[0]) * (c - skip)

    def along(self, forget: Tensor, entering: Tensor) -> Tensor:
        """The recurrence over axis 1, in the way that suits."""
        if not self.scan and not forget.is_cuda:
            return recurrence(forget, entering, dim=1)
        run = recurrence_scan if self.scan else fused
        return run(forget.transpose(0, 1), entering.transpose(0, 1)).transpose(0, 1)


def mirrored(ahead: Tensor, back: Tensor) -> Tensor:
    """Two directions [B, K, ..., width] beside each other, time (axis 1) of the second reversed."""
    return torch.cat([ahead, back.flip(1)], dim=-1)
