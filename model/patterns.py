"""The noise patterns that training shows and inference uses, as angles and who-sees-whom.

Cached context: a clean and a noisy copy of one sequence go through the network together. With
ladder depth J = 1 every noisy chunk sees the clean chunks before it and itself, which is what
inference does chunk by chunk (trap 7). With J > 1 chunks come in groups of J on a staggered
ladder; a chunk sees the clean ones before its group and the noisy ones of its group up to itself.
Window context: one copy, every chunk at its own angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CLEAN_ANGLES = (0.0, 0.12)
"""Range of the context angle in training, in radians (trap 10)."""


def ladder_angle(place: Tensor) -> Tensor:
    """Angle at a place 0…1 of the ladder: the linear schedule for T → ∞, π/6·s + π/3·s²."""
    return math.pi / 6 * place + math.pi / 3 * place.square()


@dataclass(frozen=True, slots=True)
class Pattern:
    """Who sees whom among the 2·M chunks (clean copy first) of a training sequence.

    sources bool [2M, 2M], index int64 [2M], tails int64 [2M] (−1: none), place int64 [M] of each
    noisy chunk in its group.
    """

    sources: Tensor
    index: Tensor
    tails: Tensor
    place: Tensor
    depth: int


def cached_pattern(chunks: int, depth: int, offset: int) -> Pattern:
    """The pattern for M = `chunks`, groups of `depth`, the first one shortened by `offset`."""
    m = torch.arange(chunks)
    start = ((m + offset) // depth * depth - offset).clamp(min=0)
    place = (m + offset) % depth
    causal = m[None, :] <= m[:, None]
    before_group = m[None, :] < start[:, None]
    in_group = causal & ~before_group
    none = torch.zeros_like(causal)
    sources = torch.cat([torch.cat([causal, none], 1), torch.cat([before_group, in_group], 1)])
    noisy_tails = torch.where(m > start, m - 1 + chunks, m - 1)
    return Pattern(sources, torch.cat([m, m]), torch.cat([m - 1, noisy_tails]), place, depth)


def noisy_angles(batch: int, pattern: Pattern) -> Tensor:
    """[batch, M]: U[0, π/2] alone (trap 2), or rungs of one ladder that share their offset."""
    chunks = len(pattern.place)
    u = torch.rand(batch, chunks)
    if pattern.depth == 1:
        return u * (math.pi / 2)
    shared = u[:, :1].expand(-1, chunks)
    return ladder_angle((pattern.place[None, :] + shared) / pattern.depth)


def window_angles(batch: int, chunks: int) -> Tensor:
    """[batch, M]: one of four patterns a sequence, all of which inference uses.

    Every chunk by itself (the paper's target), clean context and one noisy chunk (Algorithm 2),
    a ladder over the whole window, and every chunk on the same rung (the first window).
    """
    own = torch.rand(batch, chunks) * (math.pi / 2)
    clean = torch.empty(batch, 1).uniform_(*CLEAN_ANGLES).expand(-1, chunks).clone()
    last = clean.clone()
    last[:, -1] = own[:, -1]
    ladder = ladder_angle((torch.arange(chunks)[None, :] + own[:, :1] / (math.pi / 2)) / chunks)
    same = own[:, :1].expand(-1, chunks)
    choice = torch.randint(0, 4, (batch,))
    return torch.stack([own, last, ladder, same])[choice, torch.arange(batch)]


def noised(latents: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """z_δ = cos δ·z + sin δ·ε and its velocity cos δ·ε − sin δ·z.

    latents [B, G, C, dim], angle [B, G] -> two of the shape of latents.
    """
    noise = torch.randn_like(latents)
    cos, sin = torch.cos(angle)[..., None, None], torch.sin(angle)[..., None, None]
    return cos * latents + sin * noise, cos * noise - sin * latents
