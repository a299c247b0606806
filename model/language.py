"""The semantic language model: what comes next, in tokens, without end.

A decoder in LLaMA's form (MeLoDy, section 3; arXiv 2302.13971): RMSNorm before each branch, rotary
positions, gated feed-forward. In front of the tokens stand the codes of the prompt. They keep
their place for ever while the tokens slide, so their keys have no position: a query meets them
unturned. The brief and the clock, which tells where in the bar the next token falls, are added to
every token, so that what is asked may change between any two.
Positions wrap, keys and values lie in rings: a stream may go on for months.

Axes: B batch, n tokens, L tokens of context, N layers, W width, c heads of keys, d width of a head.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.brief import brief_size
from engine.clock import CLOCK_SIZE, EVIDENCE_SIZE
from model.layers import RMSNorm, kv_heads_of, pooled_heads, shared
from model.past_attention import Layer, Past, Seen, stacked, steps, steps_scan
from model.presets import PRESETS, LanguagePreset, Preset

States = dict[str, Tensor]


class LanguageModel(nn.Module):
    """Logits of the next token; the last of vocabulary + 1 tokens is the start."""

    scan = False
    """True while exporting for a CPU: the steps of a run become one ONNX Scan."""

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
        return stacked(self.layers)

    def prefix(self, codes: Tensor) -> Tensor:
        """codes int64 [B, 12], code_vocabulary: absent -> keys|values [B, N, 12, 2cd]."""
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
        prefix = prefix.transpose(1, 2).flatten(2, 3)  # [B, N, P·12, 2cd]
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
        of the rings holds a token), prefix [B, N, 12, 2cd], states keys_i, values_i [B, c, L, d] ->
        logits [B, n, V] and keys_i, values_i [B, c, n, d], to be written behind the rest.
        """
        x = self.entered(tokens, brief, clock)
        at = torch.arange(tokens.shape[1])
        ahead, aside = self.stack()[0].attend.turning(position + at, x.dtype)
        looked = filled[:, None].expand(-1, tokens.shape[1], -1)
        mask = shared(self._mask(looked.to(x.dtype)), self.stack()[0].attend.group)
        seen = Seen(ahead.transpose(0, 1), aside.transpose(0, 1), mask)
        after: States = {}
        for i, layer in enumerate(self.stack()):
            x, own = layer.behind(x, seen, self._past(prefix, states, i), None)
            after[f"keys_{i}"], after[f"values_{i}"] = own
        return self.left(x, tokens), after

    def written(
        self, token: Tensor, favour: Tensor, brief: Tensor, clock: Tensor, position: Tensor,
        filled: Tensor, prefix: Tensor, states: States,
    ) -> tuple[Tensor, Tensor, States]:  # fmt: skip
        """A run of n tokens behind the last one, int64 [1, 1]: each is the one that logits plus
        favour [1, n, V] make greatest, and enters behind it.

        clock [1, n, K]; filled [1, n, L] for each of them, so that what slides out of the ring
        in the run is no longer seen; the rest as for `cached_pass` -> tokens [1, n], logits
        [1, n, V], states of the tokens that entered: the last one's, and all but the new last.
        """
        count, attend = clock.shape[1], self.stack()[0].attend
        at = torch.arange(count)
        entering = (self.brief_enter(brief)[:, None] + self.clock_enter(clock))[0]
        ahead, aside = attend.turning(position + at, entering.dtype)
        mask = self._mask(filled)[0, 0]
        place = (at[:, None] == at[None, :])[..., None]
        past = [self._past(prefix, states, i) for i in range(self.preset.layers)]

        def step(carried: list[Tensor], now: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            last, runs = carried[0], carried[1:]
            seen = Seen(*now[1:5])
            x = self.embed(last) + now[0]
            after: list[Tensor] = []
            for i, layer in enumerate(self.stack()):
                own = runs[2 * i], runs[2 * i + 1]
                x, own = layer.behind(x, seen, past[i], own)
                after += own
            logits = self.left(x, last)
            chosen = (logits + now[5]).argmax(-1)
            return [chosen, *after], [chosen.clone(), logits]

        empty = entering.new_zeros(1, attend.kv_heads, count, attend.exchange.shape[0])
        begun = [token[0], *(empty.clone() for _ in range(2 * self.preset.layers))]
        run = steps_scan if self.scan else steps
        given = [entering, ahead[:, :, None], aside[:, :, None], mask, place, favour[0]]
        carried, said = run(step, begun, given)
        names = (f"{kind}_{i}" for i in range(self.preset.layers) for kind in ("keys", "values"))
        kept = dict(zip(names, carried[1:], strict=True))
        return said[0].transpose(0, 1), said[1].transpose(0, 1), kept

    def _mask(self, filled: Tensor) -> Tensor:
        """filled [B, n, L] -> what is added to scores, [B, 1, n, 12 + L + n]."""
        batch, count, _ = filled.shape
        at = torch.arange(count)
        own = (at[:, None] >= at[None, :]).to(filled.dtype).expand(batch, -1, -1)
        seen = torch.cat([filled.new_ones(batch, count, self.preset.codes), filled, own], -1)
        return torch.where(seen > 0.5, 0.0, -1e9).to(filled.dtype)[:, None]

    def _past(self, prefix: Tensor, states: States, layer: int) -> Past:
        """What a layer looks back on: of prefix [B, N, 12, 2cd], and of the rings."""
        attend = self.stack()[layer].attend
        parts = prefix[:, layer].unflatten(-1, (2 * attend.kv_heads, -1)).transpose(1, 2)
        keys, values = parts.split(attend.kv_heads, 1)
        values = torch.cat([values, states[f"values_{layer}"]], dim=2)
        return Past(keys * attend.scale, states[f"keys_{layer}"], values)

    def pooled(self, kv_heads: int) -> LanguageModel:
        """The same model with fewer heads of keys and values (`pooled_heads`): to be trained on.

        ValueError unless they divide those there are.
        """
        p = self.preset
        other = LanguageModel(replace(p, kv_heads=kv_heads), self.brief, self.dropout.p)
        other.load_state_dict(pooled_heads(self.state_dict(), p.width, p.kv_heads, kv_heads))
        return other.train(self.training)

    def initial_states(self, batch: int = 1) -> States:
        """Empty rings keys_i, values_i [B, c, L, d]."""
        p = self.preset
        shape = (batch, p.kv_heads, p.context, p.width // p.heads)
        names = (f"{kind}_{i}" for i in range(p.layers) for kind in ("keys", "values"))
        return {name: torch.zeros(shape) for name in names}


def load_language(folder: Path) -> tuple[LanguageModel, Preset]:
    """The averaged language model of a run folder, and its preset."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    preset = PRESETS[state["preset"]]
    projection = state["average"]["layers.0.attend.project.weight"]
    kv_heads = kv_heads_of(projection, preset.language.heads)
    model = LanguageModel(replace(preset.language, kv_heads=kv_heads), brief_size(preset.joint))
    model.load_state_dict(state["average"])
    return model.eval(), preset
