"""The semantic language model: what comes next, in tokens, without end.

A decoder in LLaMA's form (MeLoDy, section 3; arXiv 2302.13971): RMSNorm before each branch, rotary
positions, gated feed-forward. In front of the tokens stand the codes of the prompt. They keep
their place for ever while the tokens slide, so their keys have no position: a query meets them
unturned. The brief and the clock, which tells where in the bar the next token falls, are added to
every token, so that what is asked may change between any two.
Positions wrap, keys and values lie in rings: a stream may go on for months.

Axes: B batch, n tokens, L tokens of context, N layers, W width.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from model.layers import FeedForward, RMSNorm, rotary, rotary_turns, rotate
from model.presets import PRESETS, LanguagePreset, Preset

States = dict[str, Tensor]


class Attention(nn.Module):
    """Attention to the prompt's codes, unturned, and to the past and present, by position."""

    turns: Tensor
    mine: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        self.register_buffer("turns", rotary_turns(width // heads), persistent=False)
        mine = torch.eye(heads).repeat_interleave(width // heads, dim=0)
        self.register_buffer("mine", mine, persistent=False)  # [W, heads]: whose column it is

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, n, W] -> queries, keys, values [B, n, heads, W/heads]."""
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
            scale=(width // self.heads) ** -0.5,
        )  # fmt: skip
        out: Tensor = self.leave(y.transpose(1, 2).reshape(batch, count, width))
        return out

    def behind(
        self, x: Tensor, positions: Tensor, masks: tuple[Tensor, Tensor], past: Tensor,
        codes: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The same behind a ring, which is read where it lies: nothing is joined to it.

        x [B, n, W], masks added to the scores of the ring [B, 1, P] and among x [n·heads, n],
        past [B, P, 2W], codes [B, 12, 2W] -> y, turned keys|values [B, n, 2W].
        """
        count, width = x.shape[1:]
        q, k, v = self.split(x)
        cos, sin = rotary(positions, self.turns, x.dtype)
        own = torch.cat([rotate(k, cos, sin).flatten(2), v.flatten(2)], dim=-1)
        turned = self._spread(rotate(q, cos, sin))
        scores = [codes @ self._spread(q), past @ turned, own @ turned]
        scores = [part.transpose(1, 2) for part in scores]  # [B, n·heads, …]
        scores = [scores[0], scores[1] + masks[0], scores[2] + masks[1]]
        weights = torch.cat(scores, dim=-1).softmax(-1)
        parts = weights.split([codes.shape[1], past.shape[1], count], dim=-1)
        heard = (parts[0] @ codes + parts[1] @ past + parts[2] @ own)[..., width:]
        y = (heard.unflatten(1, (count, self.heads)) * self.mine.T.to(x.dtype)).sum(2)
        return self.leave(y), own

    def _spread(self, q: Tensor) -> Tensor:
        """Queries [B, n, heads, W/heads] -> [B, 2W, n·heads]: each in the rows of its own keys.

        A product with keys|values as they lie then scores all heads, and no ring is transposed.
        """
        batch, count = q.shape[:2]
        width = q.shape[2] * q.shape[3]
        scaled = q.flatten(2) * (width // self.heads) ** -0.5
        rows = scaled.transpose(1, 2)[..., None] * self.mine[:, None].to(q.dtype)
        return F.pad(rows.reshape(batch, width, count * self.heads), (0, 0, 0, width))


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


class LanguageModel(nn.Module):
    """Logits of the next token; the last of vocabulary + 1 tokens is the start."""

    def __init__(self, preset: LanguagePreset, brief: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.preset, self.brief = preset, brief
        width = preset.width
        self.embed = nn.Embedding(preset.vocabulary + 1, width)
        self.code_embed = nn.Embedding(preset.codes * (preset.code_vocabulary + 1), width)
        self.brief_enter = nn.Linear(brief, width, bias=False)
        self.clock_enter = nn.Linear(CLOCK_SIZE, width, bias=False)
        self.layers = nn.ModuleList(Layer(preset) for _ in range(preset.layers))
        self.norm = RMSNorm(width)
        self.leave = nn.Linear(width, preset.vocabulary, bias=False)
        self.lean = nn.Sequential(
            nn.Linear(brief, width), nn.SiLU(), nn.Linear(width, preset.vocabulary)
        )
        self.dropout = nn.Dropout(dropout)
        known = torch.zeros(preset.vocabulary + 1, preset.vocabulary)
        self.follow = nn.Parameter(known, requires_grad=False)  # counted, not trained
        heard = torch.zeros(preset.vocabulary + 1, EVIDENCE_SIZE)
        self.heard = nn.Parameter(heard, requires_grad=False)  # counted too
        nn.init.normal_(self.embed.weight, std=0.5)
        nn.init.normal_(self.code_embed.weight, std=0.5)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.clock_enter.weight)
        for layer in self.stack():  # the sum of all branches starts as small as one token
            for leave in (layer.attend.leave, layer.feed.leave):
                nn.init.normal_(leave.weight, std=0.3 * (width * preset.layers) ** -0.5)

    @torch.no_grad()
    def count(self, songs: Iterable[Tensor]) -> None:
        """What follows what in these songs, int64 [n] each, as log probabilities.

        Most of a token is said by the one before it: the network starts from there, and learns
        the rest. Pairs never seen get a share of 8 from how often the second one occurs.
        """
        pairs = torch.zeros(self.follow.shape)
        for song in songs:
            ones = torch.ones(len(song) - 1)
            pairs.index_put_((song[:-1], song[1:]), ones, accumulate=True)
        often = pairs.sum(0) + 1.0
        often = often / often.sum()
        self.follow.copy_(((pairs + 8.0 * often) / (pairs.sum(1, keepdim=True) + 8.0)).log())

    def stack(self) -> list[Layer]:
        """The layers, in order."""
        return [cast(Layer, layer) for layer in self.layers]

    def prefix(self, codes: Tensor) -> Tensor:
        """codes int64 [B, 12], code_vocabulary: absent -> keys|values [B, N, 12, 2W]."""
        level = torch.arange(self.preset.codes) * (self.preset.code_vocabulary + 1)
        x = self.code_embed(codes + level)
        kept = []
        for layer in self.stack():
            y, own = layer.attend.among_codes(layer.attend_norm(x))
            x = layer.fed(x + y)
            kept.append(own)
        return torch.stack(kept, dim=1)

    def evidence(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, n] -> what each says of beat and key [B, n, EVIDENCE_SIZE]."""
        return F.embedding(tokens, self.heard)

    def leaning(self, brief: Tensor) -> Tensor:
        """Brief [B, Bf] -> [B, V]: log P(token | brief) / P(token), of music as a whole.

        Where the past and a new prompt disagree, few tokens teach the layers to turn, but every
        token of the corpus teaches this: what music of a brief is made of. The player adds it.
        """
        asked, free = self.lean(brief), self.lean(torch.zeros_like(brief))
        return torch.log_softmax(asked, -1) - torch.log_softmax(free, -1)

    def entered(self, tokens: Tensor, brief: Tensor, clock: Tensor) -> Tensor:
        """tokens int64 [B, n], brief [B, Bf] or [B, n, Bf], clock [B, n, K] -> [B, n, W]."""
        asked: Tensor = self.brief_enter(brief)
        x: Tensor = self.dropout(self.embed(tokens)) + self.clock_enter(clock)
        return x + (asked[:, None] if asked.dim() == 2 else asked)

    def left(self, x: Tensor, tokens: Tensor) -> Tensor:
        """x [B, n, W] and the tokens it came from -> logits [B, n, V]."""
        logits: Tensor = self.leave(self.norm(x)) + F.embedding(tokens, self.follow)
        return logits

    def whole_pass(
        self, tokens: Tensor, brief: Tensor, clock: Tensor, codes: Tensor,
        sources: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Training: tokens int64 [B, n], brief [B, n, Bf], clock [B, n, K], codes int64 [B, 12]
        -> logits [B, n, V]. What stands beside a token is of the next one.

        Every token sees the codes, itself and the `context` tokens before it. Where the prompt
        changes on the way, codes int64 [B, P, 12] are several and sources bool [B, n, P] says
        which of them each token sees; then their keys lie one after the other.
        """
        batch, count = tokens.shape
        several = codes if codes.dim() == 3 else codes[:, None]
        prefix = self.prefix(several.flatten(0, 1)).unflatten(0, (batch, -1))
        prefix = prefix.transpose(1, 2).flatten(2, 3)  # [B, N, P·12, 2W]
        at = torch.arange(count)
        behind = at[:, None] - at[None, :]
        near = (behind >= 0) & (behind <= self.preset.context)
        if sources is None:
            seen = torch.ones(batch, count, prefix.shape[2], dtype=torch.bool)
        else:
            seen = sources.repeat_interleave(self.preset.codes, dim=2)
        seen = torch.cat([seen, near.expand(batch, -1, -1)], dim=2)
        mask = torch.where(seen, 0.0, -1e9)[:, None]
        x = self.entered(tokens, brief, clock)
        for i, layer in enumerate(self.stack()):
            y = layer.attend(layer.attend_norm(x), at, mask.to(x.dtype), prefix[:, i])
            x = layer.fed(x + self.dropout(y))
        return self.left(x, tokens)

    def cached_pass(
        self, tokens: Tensor, brief: Tensor, clock: Tensor, position: Tensor, filled: Tensor,
        prefix: Tensor, states: States,
    ) -> tuple[Tensor, States]:  # fmt: skip
        """The next tokens int64 [B, n], n ≤ L, behind what the rings hold -> logits, next states.

        brief [B, Bf], clock [B, n, K], position int64 [1] of the first, filled [B, L] (1: a slot
        of the rings holds a token), prefix [B, N, 12, 2W], states past_i [B, L, 2W] -> logits
        [B, n, V] and past_i [B, n, 2W], to be written behind the rest.
        """
        at = torch.arange(tokens.shape[1])
        among = torch.where(at[:, None] >= at[None, :], 0.0, -1e9)
        among = among.repeat_interleave(self.preset.heads, 0)
        ring = torch.where(filled > 0.5, 0.0, -1e9)[:, None]
        x = self.entered(tokens, brief, clock)
        masks = (ring.to(x.dtype), among.to(x.dtype))
        after = {}
        for i, layer in enumerate(self.stack()):
            y, own = layer.attend.behind(
                layer.attend_norm(x), position + at, masks, states[f"past_{i}"], prefix[:, i]
            )
            x = layer.fed(x + y)
            after[f"past_{i}"] = own
        return self.left(x, tokens), after

    def initial_states(self, batch: int = 1) -> States:
        """Empty rings past_i [B, L, 2W]."""
        p = self.preset
        return {f"past_{i}": torch.zeros(batch, p.context, 2 * p.width) for i in range(p.layers)}


def load_language(folder: Path) -> tuple[LanguageModel, Preset]:
    """The averaged language model of a run folder, and its preset."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    preset = PRESETS[state["preset"]]
    model = LanguageModel(preset.language, brief_size(preset.joint))
    model.load_state_dict(state["average"])
    return model.eval(), preset
