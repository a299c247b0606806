"""The dual-path block (MeLoDy, arXiv 2305.15719, section 4): across segments, then inside them.

Latents are cut into half overlapping segments. Each block first attends across segments (after
merging neighbouring columns), then runs a bidirectional SRU inside every segment, and is modulated
by the noise angle.

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
    Past,
    RMSNorm,
    SelfAttention,
    SRULayer,
    Swing,
)
from model.presets import VelocityPreset


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
        self.attend = SelfAttention(width, preset.heads, preset.kv_heads)
        self.cross = None
        if "tokens" in preset.conditions:
            self.cross_norm = RMSNorm(width)
            self.cross = CrossAttention(width, preset.heads)
        self.feed_norm = RMSNorm(width)
        self.feed = FeedForward(width, preset.feedforward)

    def forward(
        self, x: Tensor, turning: Swing, mask: Tensor | None, past: Past | None,
        near: Past | None, heard: Past | None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """x [B, w, G, S, D] -> what it adds, same shape, and its own keys and values.

        turning, mask, past, near and what is returned are those of `SelfAttention`, sequences of
        G·S; heard is what `heard` makes of tokens.
        """
        y, own = self.attend(self.norm(x), turning, mask, past, near)
        y = x + y
        if self.cross is not None and heard is not None:
            y = y + self.cross(self.cross_norm(y), self.times(x.shape[1], x.shape[3]), heard)
        y = y + self.feed(self.feed_norm(y))
        return y - x, own

    def heard(self, tokens: Tensor | None) -> Past | None:
        """What it looks at of tokens [B, G, n, D]; token i stands at i + ½."""
        if self.cross is None or tokens is None:
            return None
        return self.cross.heard(tokens, torch.arange(tokens.shape[2]) + 0.5)

    def times(self, columns: int, count: int) -> Tensor:
        """Where merged columns of a chunk stand, in tokens from its start [columns, 1, 1, count].

        Segment s is centred on frame s·K/2, since the first half segment lies before the chunk.
        """
        p = self.preset
        column = ((torch.arange(columns) + 0.5) / columns - 0.5) * p.segment_frames
        segment = torch.arange(count) * (p.segment_frames // 2)
        return (column[:, None, None, None] + segment) / p.token_frames


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
        self, x: Tensor, film: Tensor, turning: Swing, mask: Tensor | None, past: Past | None,
        near: Past | None, heard: Past | None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """x [B, K, G, S, D], film [B, K|1, G, S|1, 2D] -> x, own keys and values."""
        columns = x.unflatten(1, (self.columns, -1))
        added, own = self.across(columns.mean(2), turning, mask, past, near, heard)
        x = self.after_across((columns + added.unsqueeze(2)).flatten(1, 2))
        scale, shift = film.chunk(2, dim=-1)
        x = self.after_inside(x + self.inside(x) * (1 + scale) + shift)
        return x, own
