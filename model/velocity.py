"""The dual-path velocity network (MeLoDy, arXiv 2305.15719, section 4), in both contexts.

Latents are cut into half overlapping segments. Each block first attends across segments
(after merging neighbouring columns), then runs a bidirectional SRU inside every segment, and
is modulated by the noise angle. In *window* context the whole window is one sequence, as
published. In *cached* context each chunk is segmented by itself, behind the last half segment
of the chunk before it, and sees itself and earlier chunks only; what a finished chunk leaves
for later ones (keys, values, its tail) is computed once and cached. Same blocks, same weights.

Axes: B batch, G chunks, S segments of a chunk, K frames of a segment, D width. A whole window
is G = 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.layers import (
    CrossAttention,
    FeedForward,
    PaperMLP,
    RMSNorm,
    SelfAttention,
    SRULayer,
)
from model.presets import CONTEXT_ANGLE, VelocityPreset

States = dict[str, Tensor]


def segment(x: Tensor) -> Tensor:
    """Half segments [B, G, S+1, K/2, D] -> segments [B, G, S, K, D] that overlap by half."""
    return torch.cat([x[:, :, :-1], x[:, :, 1:]], dim=3)


def overlap_add(x: Tensor) -> Tensor:
    """Segments [B, G, S, K, D] -> frames [B, G, (S−1)·K/2, D]: both halves that cover them, mean.

    The outer half segments are padding, or the tail of the chunk before, and are dropped.
    """
    batch, groups, count, frames, width = x.shape
    y = 0.5 * (x[:, :, 1:, : frames // 2] + x[:, :, :-1, frames // 2 :])
    return y.reshape(batch, groups, (count - 1) * (frames // 2), width)


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
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        past: Tensor | None,
        tokens: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """x [B, G, S, w, D] -> what it adds, same shape, and keys|values [B, G, S, w, 2D].

        positions [G·S], mask [G·S, P + G·S], past [B, P/S, S, w, 2D], tokens [B, G, n, D].
        """
        batch, groups, count, columns, width = x.shape
        rows = x.permute(0, 3, 1, 2, 4).reshape(batch * columns, groups * count, width)
        if past is not None:
            past = past.permute(0, 3, 1, 2, 4).reshape(batch * columns, -1, 2 * width)
        y, own = self.attend(self.norm(rows), positions, mask, past)
        y = rows + y
        if self.cross is not None and tokens is not None:
            y = y + self.across_tokens(y, tokens, (batch, columns, groups, count, width))
        y = y + self.feed(self.feed_norm(y))
        split = (batch, columns, groups, count, -1)
        added = (y - rows).reshape(split).permute(0, 2, 3, 1, 4)
        return added, own.reshape(split).permute(0, 2, 3, 1, 4)

    def across_tokens(self, y: Tensor, tokens: Tensor, shape: tuple[int, ...]) -> Tensor:
        """What the tokens of each chunk add to its segments; y [B·w, G·S, D], same shape out."""
        batch, columns, groups, count, width = shape
        assert self.cross is not None
        rows = y.reshape(batch, columns, groups, count, width).transpose(1, 2)
        rows = rows.reshape(batch * groups, columns * count, width)
        at, token_at = self.times(columns, count, tokens.shape[2])
        seen = self.cross(self.cross_norm(rows), at, tokens.flatten(0, 1), token_at)
        back = seen.reshape(batch, groups, columns, count, width).transpose(1, 2)
        return back.reshape(batch * columns, groups * count, width)

    def times(self, columns: int, count: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Where merged columns and tokens of a chunk stand, in tokens from its start.

        Segment s is centred on frame s·K/2, since the first half segment lies before the chunk.
        """
        p = self.preset
        column = ((torch.arange(columns) + 0.5) / columns - 0.5) * p.segment_frames
        segment = torch.arange(count) * (p.segment_frames // 2)
        frames = (column[:, None] + segment[None, :]).reshape(-1)
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
        """x [B, G, S, K, D] -> the same shape."""
        y = self.norm(x).flatten(0, 2)
        for layer in self.layers:
            y = layer(y)
        out: Tensor = self.leave(y).reshape(x.shape)
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
        self,
        x: Tensor,
        condition: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        past: Tensor | None,
        tokens: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """x [B, G, S, K, D], condition [B, G, S|1, K|1, D] -> x, keys|values [B, G, S, w, 2D]."""
        batch, groups, count, frames, width = x.shape
        merged = x.reshape(batch, groups, count, self.columns, -1, width).mean(4)
        added, own = self.across(merged, positions, mask, past, tokens)
        spread = added.unsqueeze(4).expand(-1, -1, -1, -1, frames // self.columns, -1)
        x = self.after_across(x + spread.reshape(x.shape))
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
        """The FiLM condition [B, G, 1|S, 1|K, D] with the mean token and the brief [B, G, Bf]."""
        if tokens is not None:
            condition = condition + tokens.mean(2)[:, :, None, None, :]
        if brief is not None and "brief" in self.preset.conditions:
            condition = condition + self.brief_enter(brief)[:, :, None, None, :]
        return condition

    def through(
        self,
        x: Tensor,
        condition: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        pasts: list[Tensor] | None,
        tokens: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Segments [B, G, S, K, D] through all blocks -> velocity [B, G, frames, dim], caches."""
        owns = []
        for i, block in enumerate(self.blocks):
            x, own = block(x, condition, positions, mask, pasts[i] if pasts else None, tokens)
            owns.append(own)
        return self.leave(self.norm(overlap_add(x))), owns

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
        positions = torch.arange(segments.shape[2])
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
        [B, G] (1, or 0 where nothing came before), tokens [B, G, n, D] -> [B, G, S, K, D],
        [B, G, 1, 1, D].
        """
        batch, groups, frames, _ = latents.shape
        emb = self.angle_condition(angle)
        before = self.enter(tail) + self.angle_enter(self.angle_condition(tail_angle))[:, :, None]
        before = before * has_tail[:, :, None, None]
        x = self.entered(latents, tokens, guide) + self.angle_enter(emb)[:, :, None]
        x = torch.cat([before, x, torch.zeros_like(before)], dim=2)
        halves = x.reshape(
            batch, groups, frames // self.half_frames + 2, self.half_frames, x.shape[-1]
        )
        return segment(halves), emb[:, :, None, None, :]

    def cached_pass(
        self,
        latents: Tensor,
        angle: Tensor,
        position: Tensor,
        filled: Tensor,
        states: States,
        tokens: Tensor | None = None,
        brief: Tensor | None = None,
        guide: Tensor | None = None,
    ) -> tuple[Tensor, States]:
        """The chunks in flight, looking back on the cache and on each other.

        latents [B, n, C, dim] oldest first, angle [B, n], position int64 [1] (index of the
        oldest), filled [B, ring], tokens int64 [B, n, C/token_frames], brief [B, n, Bf] ->
        velocity [B, n, C, dim] and, for a commit, the next states. States and filled of batch 1
        serve every row: guidance looks back on one past.
        """
        batch, groups, frames = latents.shape[:3]
        states = {name: x.expand(batch, *x.shape[1:]) for name, x in states.items()}
        filled = filled.expand(batch, -1)
        embedded = self.token_embeddings(tokens, batch, groups, frames)
        tails = torch.cat(
            [states["tail"][:, None], latents[:, :-1, frames - self.half_frames :]], dim=1
        )
        context = torch.full_like(angle[:, :1], self.context_angle)
        tail_angles = torch.cat([context, angle[:, :-1]], dim=1)
        first = filled.amax(1, keepdim=True)
        has_tail = torch.cat([first, torch.ones_like(angle[:, 1:])], dim=1)
        x, condition = self.chunk_segments(
            latents, angle, tails, tail_angles, has_tail, embedded, guide)  # fmt: skip
        condition = self.conditioned(condition, embedded, brief)
        hops = frames // self.half_frames
        index = position + torch.arange(groups)
        positions = (index[:, None] * hops + torch.arange(hops + 1)[None, :]).reshape(-1)
        order = torch.arange(groups).repeat_interleave(hops + 1)
        within = order[:, None] >= order[None, :]
        ring = filled.repeat_interleave(hops + 1, dim=1)[0] > 0.5
        seen = torch.cat([ring[None, :].expand(within.shape[0], -1), within], dim=1)
        mask = torch.where(seen, 0.0, -1e9).to(latents.dtype)
        pasts = [states[f"past_{i}"] for i in range(len(self.blocks))]
        velocity, owns = self.through(x, condition, positions, mask, pasts, embedded)
        after = {f"past_{i}": own for i, own in enumerate(owns)}
        after["tail"] = latents[:, -1, frames - self.half_frames :]
        return velocity, after

    def initial_states(self, batch: int = 1) -> States:
        """Empty cache: ring states past_i [B, ring, S, w, 2D] and the tail [B, K/2, dim]."""
        p = self.preset
        count = p.chunk_frames // self.half_frames + 1
        states = {
            f"past_{i}": torch.zeros(batch, p.context_chunks, count, columns, 2 * p.width)
            for i, columns in enumerate(p.merged)
        }
        states["tail"] = torch.zeros(batch, self.half_frames, p.dim)
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
        mask = torch.where(seen, 0.0, -1e9).to(latents.dtype)
        return self.through(x, condition, positions, mask, None, embedded)[0]
