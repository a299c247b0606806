"""k-means, for the codes of prompts and for the semantic tokens."""

from __future__ import annotations

import torch
from torch import Tensor

PART = 8192
"""Points that are compared with all centres at once."""


@torch.no_grad()
def centroids(points: Tensor, count: int, rounds: int) -> Tensor:
    """k-means from random points: points [N, E] -> [count, E]; what is empty starts anew."""
    centres = points[torch.randperm(len(points))[:count]].clone()
    centres = torch.cat([centres, centres.new_zeros(count - len(centres), points.shape[1])])
    for _ in range(rounds):
        chosen = torch.cat([nearest(part, centres) for part in points.split(PART)])
        sums = torch.zeros_like(centres).index_add_(0, chosen, points)
        sizes = torch.bincount(chosen, minlength=count)[:, None]
        anew = points[torch.randint(len(points), (count,))]
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), anew)
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """points [..., E], centres [K, E] -> int64 [...]: place of the nearest centre."""
    centres = centres.to(points.dtype)
    return (points @ centres.T - 0.5 * centres.square().sum(-1)).argmax(-1)
