"""Attention of the language model: to the prompt's codes, unturned, and to past and present.

Keys and values of the past lie in rings, a slot each token, heads in front: the products with keys
read them where they lie, and nothing is transposed. The values are joined to those of the codes
once a run, so that one product hears both. Keys are kept turned by their
positions, which wrap; a query meets the codes unturned, for they have no position.

Several heads of queries may share one of keys and values (grouped-query attention, Ainslie et al.,
arXiv 2305.13245).

Axes: B batch, n tokens, L slots of a ring, W width, h heads of queries, c of keys and values,
d = W/h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.layers import FeedForward, RMSNorm, rotary, rotary_turns, rotate
from model.presets import LanguagePreset

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Seen:
    """What tokens look at, the same in every layer.

    ahead, aside [h + 2c, n, d]: factors of queries, keys and values as they are and with the halves
    of each head exchanged, see `Attention.turning`. mask [B, 1, n, 12 + L + m] is added to the
    scores of the codes, the ring and the m tokens of the run, once more for each of the queries
    that share keys where n is not 1; place bool [m, 1] says where among them
    the one of this step stands, None where all n = m come at once. Those of many steps have the
    steps' axis in front.
    """

    ahead: Tensor
    aside: Tensor
    mask: Tensor
    place: Tensor | None = None


class Past(NamedTuple):
    """What a layer looks back on, the same for all tokens of a run: prompt and ring.

    codes [B, c, 12, d], scaled, and keys [B, c, L, d] of the ring, which stays where it lies;
    values [B, c, 12 + L, d] of both.
    """

    codes: Tensor
    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """A token sees the codes, the tokens before it as far as it may, and itself."""

    turns: Tensor
    exchange: Tensor

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.scale = heads, kv_heads, (width // heads) ** -0.5
        self.group, each = heads // kv_heads, width // heads
        self.project = nn.Linear(width, width + 2 * kv_heads * each, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        self.register_buffer("turns", rotary_turns(each), persistent=False)
        exchange = torch.arange(each).roll(each // 2)
        self.register_buffer("exchange", exchange, persistent=False)

    @property
    def parts(self) -> list[int]:
        """Heads of queries, keys, values."""
        return [self.heads, self.kv_heads, self.kv_heads]

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, n, W] -> queries [B, n, h, d], keys, values [B, n, c, d]."""
        q, k, v = self.project(x).unflatten(2, (sum(self.parts), -1)).split(self.parts, 2)
        return q, k, v

    def each(self, x: Tensor, axis: int) -> Tensor:
        """Keys or values along an axis, once for each of the queries that share them."""
        return x if self.group == 1 else x.repeat_interleave(self.group, axis)

    def among_codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes x [B, 12, W] look at each other -> y, keys|values [B, 12, 2cd]."""
        q, k, v = self.split(x)
        keys, values = self.each(k, 2).transpose(1, 2), self.each(v, 2).transpose(1, 2)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values)
        return self.leave(y.transpose(1, 2).flatten(2)), torch.cat([k.flatten(2), v.flatten(2)], -1)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor, codes: Tensor) -> Tensor:
        """Training: a whole sequence x [B, n, W] -> y, same shape.

        positions int64 [n], mask [B, 1, n, 12 + n] added to the scores, codes [B, 12, 2cd].
        """
        batch, count, width = x.shape
        q, keys, values = self.split(x)
        cos, sin = rotary(positions, self.turns, x.dtype)
        turned, keys = rotate(q, cos, sin), rotate(keys, cos, sin)
        # One attention over both kinds of keys: [0, code] meets q, [turned key, 0] meets turned q.
        q = torch.cat([turned, q], dim=-1)
        code_keys, code_values = codes.unflatten(2, (2, self.kv_heads, -1)).unbind(2)
        nothing, nowhere = torch.zeros_like(keys), torch.zeros_like(code_keys)
        k = torch.cat([torch.cat([nowhere, code_keys], -1), torch.cat([keys, nothing], -1)], 1)
        k, v = self.each(k, 2), self.each(torch.cat([code_values, values], dim=1), 2)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask,
            scale=self.scale,
        )  # fmt: skip
        out: Tensor = self.leave(y.transpose(1, 2).reshape(batch, count, width))
        return out

    def behind(
        self, x: Tensor, seen: Seen, past: Past, own: KeysValues | None
    ) -> tuple[Tensor, KeysValues]:
        """The same behind a ring: n tokens x [B, n, W], or the one of a step [B, W].

        own: keys and values of the run so far [B, c, m, d], with room for this step's -> y like
        x, keys and values of the run. Queries that share keys stand behind each other.
        """
        parts = self.project(x)
        if x.dim() == 3:
            parts = parts.unflatten(2, (sum(self.parts), -1)).transpose(1, 2)
        else:
            parts = parts.reshape(x.shape[0], sum(self.parts), 1, -1)
        turned = parts * seen.ahead + parts.index_select(-1, self.exchange) * seen.aside
        q, k, v = turned.split(self.parts, 1)
        unturned = parts[:, : self.heads]
        shape = q.shape
        if self.group > 1:
            shared = (shape[0], self.kv_heads, self.group * shape[2], shape[3])
            q, unturned = q.reshape(shared), unturned.reshape(shared)
        if own is not None:
            assert seen.place is not None
            k, v = torch.where(seen.place, k, own[0]), torch.where(seen.place, v, own[1])
        scores = [unturned @ past.codes.mT, q @ past.keys.mT, q @ k.mT]
        weights = (torch.cat(scores, -1) + seen.mask).softmax(-1)
        known = past.values.shape[2]
        heard = weights[..., :known] @ past.values + weights[..., known:] @ v
        if self.group > 1:
            heard = heard.reshape(shape)
        heard = heard.transpose(1, 2).flatten(2) if x.dim() == 3 else heard.flatten(1)
        return self.leave(heard), (k, v)

    def turning(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """ahead, aside [n, h + 2c, d] of positions int64 [n].

        Queries and keys are turned and queries scaled; values stay as they are.
        """
        cos, sin = rotary(positions, self.turns, dtype)
        ahead, aside = torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)
        none = torch.zeros_like(ahead)
        ways = (ahead * self.scale, ahead, none + 1), (aside * self.scale, aside, none)
        ahead, aside = (
            torch.cat([
                part[:, None].expand(-1, heads, -1)
                for part, heads in zip(way, self.parts, strict=True)
            ], 1)
            for way in ways
        )  # fmt: skip
        return ahead, aside


class Layer(nn.Module):
    """Attention and feed-forward, a norm before each."""

    def __init__(self, preset: LanguagePreset) -> None:
        super().__init__()
        self.attend_norm = RMSNorm(preset.width)
        self.attend = Attention(preset.width, preset.heads, preset.kv_heads)
        self.feed_norm = RMSNorm(preset.width)
        self.feed = FeedForward(preset.width, preset.feedforward)

    def fed(self, x: Tensor) -> Tensor:
        """x and what the feed-forward adds."""
        y: Tensor = x + self.feed(self.feed_norm(x))
        return y

    def behind(
        self, x: Tensor, seen: Seen, past: Past, own: KeysValues | None
    ) -> tuple[Tensor, KeysValues]:
        """`Attention.behind`, and the rest of the layer."""
        y, own = self.attend.behind(self.attend_norm(x), seen, past, own)
        return self.fed(x + y), own


def stacked(layers: nn.ModuleList) -> list[Layer]:
    """The layers, in order."""
    return [cast(Layer, layer) for layer in layers]


Steps = list[Tensor]
Step = Callable[[Steps, Steps], tuple[Steps, Steps]]


def steps(step: Step, carried: Steps, given: Steps) -> tuple[Steps, Steps]:
    """carried -> step by step over the rows of `given` [n, ...] -> carried, said [n, ...]."""
    said = []
    for row in zip(*given, strict=True):
        carried, said_now = step(carried, list(row))
        said.append(said_now)
    return carried, [torch.stack(parts) for parts in zip(*said, strict=True)]


def steps_scan(step: Step, carried: Steps, given: Steps) -> tuple[Steps, Steps]:
    """The same as `steps`, as one scan: exports to ONNX Scan."""
    from torch._higher_order_ops.scan import scan

    return scan(step, carried, given)  # type: ignore[no-any-return]
