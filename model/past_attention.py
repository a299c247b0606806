"""Attention of the language model: to the prompt's codes, unturned, and to past and present.

Keys and values of the past lie in rings, a slot each token, heads in front: the products with keys
read them where they lie, and nothing is transposed. The values are joined to those of the codes
once a run, so that one product hears both. Keys are kept turned by their
positions, which wrap; a query meets the codes unturned, for they have no position.

Axes: B batch, n tokens, L slots of a ring, W width, h heads, d = W/h.
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

    ahead, aside [3h, n, d]: factors of queries, keys and values as they are and with the halves of
    each head exchanged, see `Attention.turning`. mask [B, 1, n, 12 + L + m] is added to the scores
    of the codes, the ring and the m tokens of the run; place bool [m, 1] says where among them
    the one of this step stands, None where all n = m come at once. Those of many steps have the
    steps' axis in front.
    """

    ahead: Tensor
    aside: Tensor
    mask: Tensor
    place: Tensor | None = None


class Past(NamedTuple):
    """What a layer looks back on, the same for all tokens of a run: prompt and ring.

    codes [B, h, 12, d], scaled, and keys [B, h, L, d] of the ring, which stays where it lies;
    values [B, h, 12 + L, d] of both.
    """

    codes: Tensor
    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """A token sees the codes, the tokens before it as far as it may, and itself."""

    turns: Tensor
    exchange: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        self.register_buffer("turns", rotary_turns(width // heads), persistent=False)
        half = width // heads // 2
        exchange = torch.arange(2 * half).roll(half)
        self.register_buffer("exchange", exchange, persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, n, W] -> queries, keys, values [B, n, h, d]."""
        q, k, v = self.project(x).reshape(*x.shape[:2], 3, self.heads, -1).unbind(2)
        return q, k, v

    def among_codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes x [B, 12, W] look at each other -> y, keys|values [B, 12, 2W]."""
        q, k, v = self.split(x)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.leave(y.transpose(1, 2).flatten(2)), torch.cat([k.flatten(2), v.flatten(2)], -1)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor, codes: Tensor) -> Tensor:
        """Training: a whole sequence x [B, n, W] -> y, same shape.

        positions int64 [n], mask [B, 1, n, 12 + n] added to the scores, codes [B, 12, 2W].
        """
        batch, count, width = x.shape
        q, keys, values = self.split(x)
        cos, sin = rotary(positions, self.turns, x.dtype)
        turned, keys = rotate(q, cos, sin), rotate(keys, cos, sin)
        # One attention over both kinds of keys: [0, code] meets q, [turned key, 0] meets turned q.
        q = torch.cat([turned, q], dim=-1)
        code_keys, code_values = codes.unflatten(2, (2, self.heads, -1)).unbind(2)
        nothing, nowhere = torch.zeros_like(keys), torch.zeros_like(code_keys)
        k = torch.cat([torch.cat([nowhere, code_keys], -1), torch.cat([keys, nothing], -1)], 1)
        v = torch.cat([code_values, values], dim=1)
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

        own: keys and values of the run so far [B, h, m, d], with room for this step's -> y like
        x, keys and values of the run.
        """
        parts = self.project(x)
        if x.dim() == 3:
            parts = parts.unflatten(2, (3 * self.heads, -1)).transpose(1, 2)
        else:
            parts = parts.reshape(x.shape[0], 3 * self.heads, 1, -1)
        turned = parts * seen.ahead + parts.index_select(-1, self.exchange) * seen.aside
        q, k, v = turned.split(self.heads, 1)
        if own is not None:
            assert seen.place is not None
            k, v = torch.where(seen.place, k, own[0]), torch.where(seen.place, v, own[1])
        scores = [parts[:, : self.heads] @ past.codes.mT, q @ past.keys.mT, q @ k.mT]
        weights = (torch.cat(scores, -1) + seen.mask).softmax(-1)
        known = past.values.shape[2]
        heard = weights[..., :known] @ past.values + weights[..., known:] @ v
        heard = heard.transpose(1, 2).flatten(2) if x.dim() == 3 else heard.flatten(1)
        return self.leave(heard), (k, v)

    def turning(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """ahead, aside [n, 3h, d] of positions int64 [n].

        Queries and keys are turned and queries scaled; values stay as they are.
        """
        cos, sin = rotary(positions, self.turns, dtype)
        ahead, aside = torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)
        none = torch.zeros_like(ahead)
        ways = (ahead * self.scale, ahead, none + 1), (aside * self.scale, aside, none)
        every = [torch.stack(way, 1).repeat_interleave(self.heads, 1) for way in ways]
        return every[0], every[1]


class Layer(nn.Module):
    """Attention and feed-forward, a norm before each."""

    def __init__(self, preset: LanguagePreset) -> None:
        super().__init__()
        self.attend_norm = RMSNorm(preset.width)
        self.attend = Attention(preset.width, preset.heads)
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
