"""The joint music-text embedding, after MuLan (arXiv 2208.12415), and its residual quantiser.

Two towers end on one sphere: music from the features of the listening network
(`model.semantic`), text from the ids of known words (`engine.words`). They are trained
contrastively. Both lie in cones of their own; the means of the two are taken out, so that words
and music that mean the same come to lie together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.clusters import centroids, nearest
from model.layers import FeedForward, RMSNorm, SelfAttention

PATCH = 4
"""Features that the audio tower takes as one."""
_UNSEEN = -1e4
"""Added to the scores of what is masked; finite, so that a text without words is no NaN."""


@dataclass(frozen=True, slots=True)
class MulanSizes:
    """Sizes of the two towers and of the quantiser."""

    features: int  # values of one feature
    words: int  # known words
    embedding: int = 64
    width: int = 128
    heads: int = 4
    feedforward: float = 1.5
    audio_layers: int = 1
    text_layers: int = 2
    codes: int = 12
    code_vocabulary: int = 256


class Layer(nn.Module):
    """Attention over a sequence, then a feed-forward, both with the norm in front."""

    def __init__(self, width: int, heads: int, feedforward: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([RMSNorm(width), RMSNorm(width)])
        self.attention = SelfAttention(width, heads)
        self.feedforward = FeedForward(width, feedforward)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, n, width], mask [B, 1, 1, n] added to the scores -> [B, n, width]."""
        places = torch.arange(x.shape[1], device=x.device)
        turning = self.attention.turning(places, x.dtype)
        x = x + self.attention(self.norms[0](x)[:, None], turning, mask)[0][:, 0]
        y: Tensor = x + self.feedforward(self.norms[1](x))
        return y


class Pooling(nn.Module):
    """A sequence to one vector: each head looks where it likes, beside the plain mean."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.score = nn.Linear(width, heads)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x [B, n, width], seen [B, n] of 0 and 1 -> [B, 2·width]."""
        batch, count, width = x.shape
        x = self.norm(x)
        scores = self.score(x) + (1 - seen[..., None]) * _UNSEEN
        split = x.reshape(batch, count, scores.shape[-1], -1)
        looked = (split * scores.softmax(1)[..., None]).sum(1).reshape(batch, width)
        total = (x * seen[..., None]).sum(1)
        return torch.cat([looked, total / seen.sum(1, keepdim=True).clamp_min(1.0)], dim=-1)


class Tower(nn.Module):
    """Layers, pooling, and the way down to the joint space."""

    mean: Tensor

    def __init__(self, sizes: MulanSizes, layers: int) -> None:
        super().__init__()
        width = sizes.width
        self.layers = nn.ModuleList(
            Layer(width, sizes.heads, sizes.feedforward) for _ in range(layers)
        )
        self.pooling = Pooling(width, sizes.heads)
        self.leave = nn.Sequential(
            nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, sizes.embedding)
        )
        self.register_buffer("mean", torch.zeros(sizes.embedding))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x [B, n, width], seen [B, n] of 0 and 1 -> [B, E] of length 1."""
        mask = ((1 - seen) * _UNSEEN)[:, None, None, :].to(x.dtype)
        for layer in self.layers:
            x = layer(x, mask)
        unit = F.normalize(self.leave(self.pooling(x, seen)).float(), dim=-1)
        return F.normalize(unit - self.mean, dim=-1)


class Quantiser(nn.Module):
    """Residual vector quantiser: each level takes the entry nearest to what is left."""

    entries: Tensor

    def __init__(self, codes: int, vocabulary: int, size: int) -> None:
        super().__init__()
        self.register_buffer("entries", torch.zeros(codes, vocabulary, size))

    def codes(self, embedding: Tensor) -> Tensor:
        """embedding [B, E] -> int64 [B, codes]."""
        left, found = embedding, []
        for level in self.entries:
            found.append(nearest(left, level))
            left = left - level[found[-1]]
        return torch.stack(found, dim=1)

    def quantised(self, codes: Tensor) -> Tensor:
        """int64 [B, codes] -> [B, E] of length 1."""
        levels = [level[codes[:, i]] for i, level in enumerate(self.entries)]
        return F.normalize(torch.stack(levels).sum(0), dim=-1)

    @torch.no_grad()
    def fit(self, embeddings: Tensor, rounds: int = 12) -> None:
        """k-means of each level on what the levels before it leave; embeddings [N, E]."""
        left = embeddings.clone()
        for level in self.entries:
            level.copy_(centroids(left, len(level), rounds))
            left -= level[nearest(left, level)]


class Mulan(nn.Module):
    """Music and text to one space, and that space to codes."""

    def __init__(self, sizes: MulanSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enter = nn.Conv1d(sizes.features, sizes.width, PATCH, stride=PATCH)
        self.audio = Tower(sizes, sizes.audio_layers)
        self.words = nn.Embedding(sizes.words + 1, sizes.width, padding_idx=0)
        nn.init.normal_(self.words.weight, std=0.3)
        self.text = Tower(sizes, sizes.text_layers)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.quantiser = Quantiser(sizes.codes, sizes.code_vocabulary, sizes.embedding)

    def audio_embedding(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """features [B, n, D], n ≥ 4, mask bool [B, n] of those that count -> [B, E], length 1."""
        x = F.gelu(self.enter(features.transpose(1, 2)).transpose(1, 2))
        seen = torch.ones_like(x[..., 0])
        if mask is not None:
            seen = mask[:, PATCH - 1 :: PATCH].to(x.dtype)
        y: Tensor = self.audio(x, seen)
        return y

    def text_embedding(self, words: Tensor) -> Tensor:
        """words int64 [B, n], 0 is none -> [B, E], length 1."""
        y: Tensor = self.text(self.words(words), (words > 0).to(self.words.weight.dtype))
        return y

    def codes(self, embedding: Tensor) -> Tensor:
        """embedding [B, E] -> int64 [B, codes]."""
        return self.quantiser.codes(embedding)

    def quantised(self, codes: Tensor) -> Tensor:
        """int64 [B, codes] -> [B, E] of length 1."""
        return self.quantiser.quantised(codes)

    def loss(self, audio: Tensor, text: Tensor, words: Tensor) -> Tensor:
        """Symmetric InfoNCE of pairs [B, E]; clips with the same words int64 [B, n] share."""
        logits = self.log_scale.clamp_max(math.log(100.0)).exp() * audio @ text.T
        same = (words[:, None] == words[None]).all(-1).float()
        target = same / same.sum(1, keepdim=True)
        return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
