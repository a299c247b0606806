"""The dual-path velocity network (MeLoDy, arXiv 2305.15719, section 4), in both contexts.

In *window* context the whole window is one sequence, as published. In *cached* context each chunk
is segmented by itself, behind the last half segment of the chunk before it, and sees itself and
earlier chunks only; what a finished chunk leaves for later ones (keys, values, its tail) is
computed once and cached. Same blocks, same weights. The axes are those of `model.dual_path`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from model.dual_path import Block, joined, overlap_add, segment
from model.layers import PaperMLP, Past, RMSNorm, Swing, marked, pooled_heads, shared
from model.presets import CONTEXT_ANGLE, VelocityPreset

States = dict[str, Tensor]

UNSEEN = -1e9
"""Added to the scores of what is masked."""


def ring_axis(state: str) -> int:
    """Along which axis of a state of that name finished chunks lie."""
    return 1 if state == "tail" else 3


class VelocityNetwork(nn.Module):
    """v̂(z_δ; δ, conditions) for every chunk of a window, or for the chunks in flight."""

    context_angle = CONTEXT_ANGLE
    """δ_ctx, at which the tail and the cache are committed."""
    marking = False
    """True while exporting what a CPU plays: a long past costs less if it is `marked`."""

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

    @property
    def segments(self) -> int:
        """Of a chunk: the first lies across its start."""
        return self.preset.chunk_frames // self.half_frames + 1

    def pooled(self, kv_heads: int) -> VelocityNetwork:
        """The same network with fewer heads of keys and values (`pooled_heads`): what it plays then
        has to be learnt again. ValueError unless they divide those there are.
        """
        if kv_heads == self.preset.kv_heads:
            return self
        p, other = self.preset, VelocityNetwork(replace(self.preset, kv_heads=kv_heads))
        other.load_state_dict(pooled_heads(self.state_dict(), p.width, p.kv_heads, kv_heads))
        return other.train(self.training)

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

    def beside(self, tokens: Tensor | None, guide: Tensor | None, frames: int) -> Tensor | None:
        """What lies beside the frames of chunks, [B, G, frames, D], or nothing.

        tokens [B, G, n, D] are laid over their frames; guide has the shape of the latents.
        """
        x = None
        if tokens is not None:
            x = tokens.repeat_interleave(self.preset.token_frames, dim=2)[:, :, :frames]
        if "guide" in self.preset.conditions:
            led = self.guide_absent if guide is None else self.guide_enter(guide)
            x = led if x is None else x + led
        return x

    def conditioned(self, condition: Tensor, tokens: Tensor | None, brief: Tensor | None) -> Tensor:
        """The FiLM condition [B, 1|K, G, 1|S, D] with the mean token and the brief [B, G, Bf]."""
        if tokens is not None:
            condition = condition + tokens.mean(2)[:, None, :, None, :]
        if brief is not None and "brief" in self.preset.conditions:
            condition = condition + self.brief_enter(brief)[:, None, :, None, :]
        return condition

    def films(self, condition: Tensor) -> list[Tensor]:
        """What each block makes of the condition [..., D]: [..., 2D]."""
        return [block.film(condition) for block in self.stack()]

    def heard(self, tokens: Tensor | None) -> list[Past | None]:
        """What each block looks at of tokens [B, G, n, D]."""
        return [block.across.heard(tokens) for block in self.stack()]

    def turning(self, positions: Tensor, dtype: torch.dtype) -> Swing:
        """What segments at these positions are turned by, in every block."""
        return self.stack()[0].across.attend.turning(positions, dtype)

    def stack(self) -> list[Block]:
        """The blocks, in order."""
        return [cast(Block, block) for block in self.blocks]

    def through(
        self, x: Tensor, films: list[Tensor], turning: Swing, mask: Tensor | None,
        pasts: list[Past] | None, heard: list[Past | None], nears: list[Past] | None = None,
    ) -> tuple[Tensor, list[Past]]:  # fmt: skip
        """Segments [B, K, G, S, D] through all blocks -> velocity [B, G, frames, dim], caches.

        mask is what is added to scores; pasts and nears are those of `SelfAttention`, one for
        each block, or none.
        """
        owns, group = [], self.stack()[0].across.attend.group
        if mask is not None:
            mask = shared(mask, group)
        if pasts and pasts[0].marks is not None:
            marks = shared(pasts[0].marks, group)
            pasts = [past._replace(marks=marks) for past in pasts]
        for i, block in enumerate(self.blocks):
            past, near = pasts[i] if pasts else None, nears[i] if nears else None
            x, own = block(x, films[i], turning, mask, past, near, heard[i])
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
        x = self.enter(latents)[:, None]
        beside = self.beside(embedded, None if guide is None else guide[:, None], length)
        if beside is not None:
            x = x + beside
        x = x[:, 0] + self.angle_enter(emb)
        fill = -length % self.half_frames
        pad = (0, 0, self.half_frames, self.half_frames + fill)

        def cut(frames: Tensor) -> Tensor:
            padded = nn.functional.pad(frames, pad)
            return segment(padded.reshape(batch, 1, -1, self.half_frames, frames.shape[-1]))

        segments = cut(x)
        positions = torch.arange(segments.shape[3])
        asked = None if brief is None else brief[:, None]
        condition = self.conditioned(cut(emb), embedded, asked)
        velocity, _ = self.through(
            segments, self.films(condition), self.turning(positions, latents.dtype), None, None,
            self.heard(embedded),
        )  # fmt: skip
        return velocity[:, 0, :length]

    # ---- cached context -------------------------------------------------------------------

    def angles_entered(self, angle: Tensor, tail_angle: Tensor) -> tuple[Tensor, Tensor]:
        """Of chunks at angle and their tails at tail_angle [..., G]: what is added to their frames,
        the tail's first, [..., G, 2, D], and the FiLM condition [..., 1, G, 1, D].
        """
        both = self.angle_condition(torch.stack([tail_angle, angle], dim=-1))
        return self.angle_enter(both), both[..., None, :, 1:2, :]

    def chunk_segments(
        self, latents: Tensor, turned: Tensor, tail: Tensor, has_tail: Tensor,
        beside: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """Each chunk behind the tail of the chunk before it -> segments [B, K, G, S, D].

        latents [B, G, C, dim], turned [B, G, 2, D] as `angles_entered` gives it, tail [B, G, K/2,
        dim], has_tail [B, G] (1, or 0 where nothing came before), beside as `beside` gives it.
        """
        frames = latents.shape[2]
        turned = turned.unsqueeze(3)
        before = (self.enter(tail) + turned[:, :, 0]) * has_tail[:, :, None, None]
        x = self.enter(latents) + turned[:, :, 1]
        if beside is not None:
            x = x + beside
        x = torch.cat([before, x, torch.zeros_like(before)], dim=2)
        return segment(x.unflatten(2, (frames // self.half_frames + 2, self.half_frames)))

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
        turned, condition = self.angles_entered(angle, tail_angle)
        beside = self.beside(embedded, guide, frames)
        x = self.chunk_segments(latents, turned, tail, has_tail, beside)
        films = self.films(self.conditioned(condition, embedded, brief))
        turning = self.turning(self.cached_positions(position), latents.dtype)
        mask = self.cached_mask(seen)
        velocity, owns = self.through(
            x, films, turning, mask, self.pasts(states, mask), self.heard(embedded)
        )
        return velocity, self.left(own, owns, groups)

    def left(self, tails: Tensor, owns: list[Past], groups: int) -> States:
        """What each of so many chunks leaves: its tail [B, n, K/2, dim], its keys and values."""
        after = {"tail": tails}
        for i, own in enumerate(owns):
            after[f"key_{i}"] = own.keys.unflatten(3, (groups, -1))
            after[f"value_{i}"] = own.values.unflatten(3, (groups, -1))
        return after

    def pasts(self, states: States, mask: Tensor) -> list[Past]:
        """The rings of every block as one sequence, keys and values [B, w, kv_heads, ring·S, d];
        where they are `marking`, for the chunks of this mask.
        """
        rings = [
            Past(states[f"key_{i}"].flatten(3, 4), states[f"value_{i}"].flatten(3, 4))
            for i in range(len(self.blocks))
        ]
        return [marked(ring, mask, self.segments) for ring in rings] if self.marking else rings

    def cached_positions(self, position: Tensor) -> Tensor:
        """Indices of chunks int64 [B, n] -> positions of their segments [B, 1, 1, n·S]."""
        hops = self.preset.chunk_frames // self.half_frames
        at = position[:, :, None] * hops + torch.arange(hops + 1)
        return at.flatten(1)[:, None, None]

    def cached_mask(self, seen: Tensor) -> Tensor:
        """seen [B, n, ring + n] -> what is added to scores [B, 1, 1, n·S, (ring + n)·S]."""
        count = self.segments
        mask = torch.where(seen > 0.5, 0.0, UNSEEN).to(seen.dtype)
        mask = mask[:, :, None, :, None].expand(-1, -1, count, -1, count)
        return mask.flatten(1, 2).flatten(2)[:, None, None]

    def initial_states(self, batch: int = 1) -> States:
        """Empty cache, rings over finished chunks: key_i, value_i
        [B, w, kv_heads, ring, S, D/heads] and tail [B, ring, K/2, dim].
        """
        p = self.preset
        states = {
            f"{kind}_{i}": torch.zeros(
                batch, columns, p.kv_heads, p.context_chunks, self.segments, p.width // p.heads
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
        turned, condition = self.angles_entered(angle, angle[:, before])
        beside = self.beside(embedded, guide, frames)
        x = self.chunk_segments(latents, turned, tail, has_tail, beside)
        films = self.films(self.conditioned(condition, embedded, brief))
        hops = frames // self.half_frames
        positions = (index[:, None] * hops + torch.arange(hops + 1)[None, :]).reshape(-1)
        seen = sources.repeat_interleave(hops + 1, 0).repeat_interleave(hops + 1, 1)
        mask = torch.where(seen, 0.0, UNSEEN).to(latents.dtype)
        turning = self.turning(positions, latents.dtype)
        return self.through(x, films, turning, mask, None, self.heard(embedded))[0]
