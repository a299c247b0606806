"""The dual-path velocity network (MeLoDy, arXiv 2305.15719, section 4), in both contexts.

Latents are cut into half overlapping segments. Each block first attends across segments
(after merging neighbouring columns), then runs a bidirectional SRU inside every segment, and
is modulated by the noise angle. In *window* context the whole window is one sequence, as
published. In *cached* context each chunk is segmented by itself, behind the last half segment
of the chunk before it, and sees itself and earlier chunks only; what a finished chunk leaves
for later ones (keys, values, its tail) is computed once and cached. Same blocks, same weights.

Axes: B batch, K frames of a segment (or w columns of merged ones), G chunks, S segments of a
chunk, D width. A whole window is G = 1. Frames stand before segments: so both paths read rows as
they lie, the attention those of a column and the recurrence those of a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.layers import (
    CrossAttention,
    FeedForward,
    PaperMLP,
    Past,
    RMSNorm,
    SelfAttention,
    SRULayer,
)
from model.presets import CONTEXT_ANGLE, VelocityPreset

States = dict[str, Tensor]

UNSEEN = -1e9
"""Added to the scores of what is masked."""


def ring_axis(state: str) -> int:
    """Along which axis of a state of that name finished chunks lie."""
    return 1 if state == "tail" else 3


def segment(x: Tensor) -> Tensor:
    """Half segments [B, G, S+1, K/2, D] -> segments [B, K, G, S, D] that overlap by half."""
    halves = x.permute(0, 3, 1, 2, 4)
    return torch.cat([halves[:, :, :, :-1], halves[:, :, :, 1:]], dim=1)


def overlap_add(x: Tensor) -> Tensor:
    """Segments [B, K, G, S, D] -> half segments [B, K/2, G, S−1, D]: both that cover them, mean.

    The outer half segments are padding, or the tail of the chunk before, and are dropped.
    """
    first, second = x.chunk(2, dim=1)
    return 0.5 * (first[:, :, :, 1:] + second[:, :, :, :-1])


def joined(x: Tensor) -> Tensor:
    """Half segments [B, K/2, G, S, D] -> frames [B, G, S·K/2, D]."""
    return x.permute(0, 2, 3, 1, 4).flatten(2, 3)


class Across(nn.Module):
    """RoFormer layer across segments: self-attention, cross-attention, gated feed-forward."""

    def __init__(self, preset: VelocityPreset) -> None:
        super().__init__()
        self.preset = preset
        width = preset.width
        self.norm = RMSNorm(width)
        self.attend = SelfAttention(width, preset.heads)
        self.cross = None
        if "tokens" in preset.conditions:
            self.cross_norm = RMSNorm(width)
            self.cross = CrossAttention(width, preset.heads)
        self.feed_norm = RMSNorm(width)
        self.feed = FeedForward(width, preset.feedforward)

    def forward(
        self, x: Tensor, positions: Tensor, mask: Tensor | None, past: Past | None,
        tokens: Tensor | None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """x [B, w, G, S, D] -> what it adds, same shape, and its own keys and values.

        positions, mask, past and what is returned are those of `SelfAttention`, sequences of G·S;
        tokens [B, G, n, D].
        """
        y, own = self.attend(self.norm(x), positions, mask, past)
        y = x + y
        if self.cross is not None and tokens is not None:
            at, token_at = self.times(x.shape[1], x.shape[3], tokens.shape[2])
            y = y + self.cross(self.cross_norm(y), at, tokens, token_at)
        y = y + self.feed(self.feed_norm(y))
        return y - x, own

    def times(self, columns: int, count: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Where merged columns and tokens of a chunk stand, in tokens from its start.

        [columns, 1, 1, count] and [tokens]. Segment s is centred on frame s·K/2, since the first
        half segment lies before the chunk.
        """
        p = self.preset
        column = ((torch.arange(columns) + 0.5) / columns - 0.5) * p.segment_frames
        segment = torch.arange(count) * (p.segment_frames // 2)
        frames = column[:, None, None, None] + segment
        return frames / p.token_frames, torch.arange(tokens) + 0.5


class Inside(nn.Module):
    """Two bidirectional SRU layers inside each segment."""

    def __init__(self, preset: VelocityPreset) -> None:
        super().__init__()
        both = 2 * preset.recurrent_width
        self.norm = RMSNorm(preset.width)
        self.layers = nn.ModuleList(
            [SRULayer(preset.width, preset.recurrent_width),
             SRULayer(both, preset.recurrent_width)]
        )  # fmt: skip
        self.leave = nn.Linear(both, preset.width)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, K, G, S, D] -> the same shape."""
        y = self.norm(x)
        for layer in self.layers:
            y = layer(y)
        out: Tensor = self.leave(y)
        return out


class Block(nn.Module):
    """One dual-path block: across segments on merged columns, then inside segments, then FiLM.

    The published block normalises after each sum (`norm="post"`); "pre" puts the norms in front
    of the branches, which lets a small network start learning at once.
    """

    def __init__(self, preset: VelocityPreset, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.across = Across(preset)
        self.inside = Inside(preset)
        self.film = nn.Linear(preset.width, 2 * preset.width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        post = preset.norm == "post"
        self.after_across = RMSNorm(preset.width) if post else nn.Identity()
        self.after_inside = RMSNorm(preset.width) if post else nn.Identity()

    def forward(
        self, x: Tensor, condition: Tensor, positions: Tensor, mask: Tensor | None,
        past: Past | None, tokens: Tensor | None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """x [B, K, G, S, D], condition [B, K|1, G, S|1, D] -> x, own keys and values."""
        columns = x.unflatten(1, (self.columns, -1))
        added, own = self.across(columns.mean(2), positions, mask, past, tokens)
        x = self.after_across((columns + added.unsqueeze(2)).flatten(1, 2))
        scale, shift = self.film(condition).chunk(2, dim=-1)
        x = self.after_inside(x + self.inside(x) * (1 + scale) + shift)
        return x, own


class VelocityNetwork(nn.Module):
    """v̂(z_δ; δ, conditions) for every chunk of a window, or for the chunks in flight."""

    context_angle = CONTEXT_ANGLE
    """δ_ctx, at which the tail and the cache are committed."""

    def __init__(self, preset: VelocityPreset) -> None:
        super().__init__()
        self.preset = preset
        width = preset.width
        self.enter = nn.Linear(preset.dim, width)
        self.e_start = nn.Parameter(torch.randn(preset.angle_width))
        self.e_end = nn.Parameter(torch.randn(preset.angle_width))
        self.angle_mlp = PaperMLP(preset.angle_width, width)
        self.angle_enter = nn.Linear(width, width, bias=False)
        if "tokens" in preset.conditions:
            self.embed = nn.Embedding(preset.vocabulary + 1, width)  # the last one: absent
            nn.init.normal_(self.embed.weight, std=0.02)
        if "brief" in preset.conditions:
            self.brief_enter = nn.Linear(preset.brief, width, bias=False)
            nn.init.zeros_(self.brief_enter.weight)
        if "guide" in preset.conditions:
            self.guide_enter = nn.Linear(preset.dim, width)
            self.guide_absent = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(preset, columns) for columns in preset.merged)
        self.norm = RMSNorm(width)
        self.leave = nn.Linear(width, preset.dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    @property
    def half_frames(self) -> int:
        """Frames of half a segment: the hop of the segmentation."""
        return self.preset.segment_frames // 2

    def angle_condition(self, angle: Tensor) -> Tensor:
        """Angles [...] -> [..., D]; spherical interpolation between two learned ends (trap 1)."""
        mixed = (
            torch.cos(angle)[..., None] * self.e_start + torch.sin(angle)[..., None] * self.e_end
        )
        out: Tensor = self.angle_mlp(mixed)
        return out

    def token_embeddings(
        self, tokens: Tensor | None, batch: int, groups: int, frames: int
    ) -> Tensor | None:
        """tokens int64 [B, G, n] or None -> [B, G, n, D]; None is the learned absent token."""
        if "tokens" not in self.preset.conditions:
            return None
        if tokens is None:
            count = -(-frames // self.preset.token_frames)
            tokens = torch.full((batch, groups, count), self.preset.vocabulary)
        out: Tensor = self.embed(tokens)
        return out

    def entered(self, latents: Tensor, tokens: Tensor | None, guide: Tensor | None) -> Tensor:
        """Latents [B, G, frames, dim] -> hidden [B, G, frames, D], with what lies beside them.

        tokens [B, G, n, D] are laid over their frames; guide has the shape of the latents.
        """
        x: Tensor = self.enter(latents)
        if tokens is not None:
            over = tokens.repeat_interleave(self.preset.token_frames, dim=2)
            x = x + over[:, :, : latents.shape[2]]
        if "guide" in self.preset.conditions:
            x = x + (self.guide_absent if guide is None else self.guide_enter(guide))
        return x

    def conditioned(self, condition: Tensor, tokens: Tensor | None, brief: Tensor | None) -> Tensor:
        """The FiLM condition [B, 1|K, G, 1|S, D] with the mean token and the brief [B, G, Bf]."""
        if tokens is not None:
            condition = condition + tokens.mean(2)[:, None, :, None, :]
        if brief is not None and "brief" in self.preset.conditions:
            condition = condition + self.brief_enter(brief)[:, None, :, None, :]
        return condition

    def through(
        self, x: Tensor, condition: Tensor, positions: Tensor, mask: Tensor | None,
        pasts: list[Past] | None, tokens: Tensor | None,
    ) -> tuple[Tensor, list[Past]]:  # fmt: skip
        """Segments [B, K, G, S, D] through all blocks -> velocity [B, G, frames, dim], caches."""
        owns = []
        for i, block in enumerate(self.blocks):
            x, own = block(x, condition, positions, mask, pasts[i] if pasts else None, tokens)
            owns.append(own)
        return joined(self.leave(self.norm(overlap_add(x)))), owns

    # ---- window context -------------------------------------------------------------------

    def window_pass(
        self,
        latents: Tensor,
        angle: Tensor,
        tokens: Tensor | None = None,
        brief: Tensor | None = None,
        guide: Tensor | None = None,
    ) -> Tensor:
        """A whole window, looking both ways, as published.

        latents [B, L, dim], angle [B, L], tokens int64 [B, n], brief [B, Bf] -> velocity
        [B, L, dim]. L is padded to whole half segments: S = ⌈2L/K⌉ + 1 segments.
        """
        batch, length, _ = latents.shape
        emb = self.angle_condition(angle)
        tokens = tokens[:, None] if tokens is not None else None
        embedded = self.token_embeddings(tokens, batch, 1, length)
        beside = None if guide is None else guide[:, None]
        x = self.entered(latents[:, None], embedded, beside)[:, 0] + self.angle_enter(emb)
        fill = -length % self.half_frames
        pad = (0, 0, self.half_frames, self.half_frames + fill)

        def cut(frames: Tensor) -> Tensor:
            padded = nn.functional.pad(frames, pad)
            return segment(padded.reshape(batch, 1, -1, self.half_frames, frames.shape[-1]))

        segments = cut(x)
        positions = torch.arange(segments.shape[3])
        asked = None if brief is None else brief[:, None]
        condition = self.conditioned(cut(emb), embedded, asked)
        velocity, _ = self.through(segments, condition, positions, None, None, embedded)
        return velocity[:, 0, :length]

    # ---- cached context -------------------------------------------------------------------

    def chunk_segments(
        self,
        latents: Tensor,
        angle: Tensor,
        tail: Tensor,
        tail_angle: Tensor,
        has_tail: Tensor,
        tokens: Tensor | None,
        guide: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Each chunk behind the tail of the chunk before it -> segments, FiLM condition.

        latents [B, G, C, dim], angle [B, G], tail [B, G, K/2, dim], tail_angle [B, G], has_tail
        [B, G] (1, or 0 where nothing came before), tokens [B, G, n, D] -> [B, K, G, S, D],
        [B, 1, G, 1, D].
        """
        frames = latents.shape[2]
        both = self.angle_condition(torch.stack([tail_angle, angle], dim=2))
        turned = self.angle_enter(both).unsqueeze(3)
        before = (self.enter(tail) + turned[:, :, 0]) * has_tail[:, :, None, None]
        x = self.entered(latents, tokens, guide) + turned[:, :, 1]
        x = torch.cat([before, x, torch.zeros_like(before)], dim=2)
        halves = x.unflatten(2, (frames // self.half_frames + 2, self.half_frames))
        return segment(halves), both[:, None, :, 1:2]

    def cached_pass(
        self,
        latents: Tensor,
        angle: Tensor,
        position: Tensor,
        filled: Tensor,
        sees: Tensor,
        before: Tensor,
        states: States,
        tokens: Tensor | None = None,
        brief: Tensor | None = None,
        guide: Tensor | None = None,
    ) -> tuple[Tensor, States]:
        """Chunks, each looking back on slots of the cache and on others of this pass.

        latents [B, n, C, dim], angle [B, n], position int64 [B, n] (index of the chunk), filled
        [B, n, ring] (1 where a chunk looks back on that slot), sees [B, n, n] (1 where it looks
        on that chunk of this pass, itself among them), before int64 [B, n] (which comes just
        before it, of the slots and then of these chunks: if it is seen, its tail is in front),
        tokens int64 [B, n, C/token_frames], brief [B, n, Bf] -> velocity [B, n, C, dim] and what
        each chunk leaves, to be kept where it is finished. Rows know nothing of each other.
        """
        batch, groups, frames = latents.shape[:3]
        seen = torch.cat([filled, sees], dim=2)
        embedded = self.token_embeddings(tokens, batch, groups, frames)
        own = latents[:, :, frames - self.half_frames :]
        tails = torch.cat([states["tail"], own], dim=1)
        finished = torch.full_like(states["tail"][:, :, 0, 0], self.context_angle)
        tail_angle = torch.cat([finished, angle], dim=1).gather(1, before)
        tail = tails.gather(1, before[:, :, None, None].expand(own.shape))
        has_tail = seen.gather(2, before[:, :, None])[:, :, 0]
        x, condition = self.chunk_segments(
            latents, angle, tail, tail_angle, has_tail, embedded, guide)  # fmt: skip
        condition = self.conditioned(condition, embedded, brief)
        pasts = [
            (states[f"key_{i}"].flatten(3, 4), states[f"value_{i}"].flatten(3, 4))
            for i in range(len(self.blocks))
        ]
        velocity, owns = self.through(
            x, condition, self.cached_positions(position), self.cached_mask(seen), pasts, embedded
        )
        after = {"tail": own}
        for i, (key, value) in enumerate(owns):
            after[f"key_{i}"] = key.unflatten(3, (groups, -1))
            after[f"value_{i}"] = value.unflatten(3, (groups, -1))
        return velocity, after

    def cached_positions(self, position: Tensor) -> Tensor:
        """Indices of chunks int64 [B, n] -> positions of their segments [B, 1, 1, n·S]."""
        hops = self.preset.chunk_frames // self.half_frames
        at = position[:, :, None] * hops + torch.arange(hops + 1)
        return at.flatten(1)[:, None, None]

    def cached_mask(self, seen: Tensor) -> Tensor:
        """seen [B, n, ring + n] -> what is added to scores [B, 1, 1, n·S, (ring + n)·S]."""
        count = self.preset.chunk_frames // self.half_frames + 1
        mask = torch.where(seen > 0.5, 0.0, UNSEEN).to(seen.dtype)
        mask = mask[:, :, None, :, None].expand(-1, -1, count, -1, count)
        return mask.flatten(1, 2).flatten(2)[:, None, None]

    def initial_states(self, batch: int = 1) -> States:
        """Empty cache, rings over finished chunks: key_i, value_i [B, w, heads, ring, S, D/heads]
        and tail [B, ring, K/2, dim].
        """
        p = self.preset
        count = p.chunk_frames // self.half_frames + 1
        states = {
            f"{kind}_{i}": torch.zeros(
                batch, columns, p.heads, p.context_chunks, count, p.width // p.heads
            )
            for i, columns in enumerate(p.merged)
            for kind in ("key", "value")
        }
        states["tail"] = torch.zeros(batch, p.context_chunks, self.half_frames, p.dim)
        return states

    def sequence_pass(
        self,
        latents: Tensor,
        angle: Tensor,
        sources: Tensor,
        index: Tensor,
        tails: Tensor,
        tokens: Tensor | None = None,
        brief: Tensor | None = None,
        guide: Tensor | None = None,
    ) -> Tensor:
        """Training: several copies of a sequence of chunks in one pass.

        latents [B, G, C, dim], angle [B, G], sources bool [G, G] (query chunk, chunk it sees),
        index int64 [G] (place of each in the sequence), tails int64 [G] (which chunk of this
        batch comes just before it, −1: none), tokens int64 [B, G, n], brief [B, G, Bf] ->
        velocity [B, G, C, dim].
        """
        frames = latents.shape[2]
        embedded = self.token_embeddings(tokens, latents.shape[0], latents.shape[1], frames)
        before = tails.clamp(min=0)
        tail = latents[:, before, frames - self.half_frames :]
        has_tail = (tails >= 0).to(latents.dtype)[None, :].expand(latents.shape[0], -1)
        x, condition = self.chunk_segments(
            latents, angle, tail, angle[:, before], has_tail, embedded, guide)  # fmt: skip
        condition = self.conditioned(condition, embedded, brief)
        hops = frames // self.half_frames
        positions = (index[:, None] * hops + torch.arange(hops + 1)[None, :]).reshape(-1)
        seen = sources.repeat_interleave(hops + 1, 0).repeat_interleave(hops + 1, 1)
        mask = torch.where(seen, 0.0, UNSEEN).to(latents.dtype)
        return self.through(x, condition, positions, mask, None, embedded)[0]
