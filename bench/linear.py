"""Linear readers: what can be read from features, or from tokens alone, by one matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNASKED = -1
"""A label that is not asked for: it neither teaches nor counts."""

Rows = Callable[[npt.NDArray[np.int64]], Tensor]
"""Frames int64[B] -> what the reader sees of them, whatever its first layer takes."""
Labels = dict[str, npt.NDArray[np.int64]]


class Dense(nn.Module):
    """The matrix of features [B, context, D] -> [B, outputs], each brought to mean 0, spread 1."""

    mean: Tensor
    spread: Tensor

    def __init__(self, features: npt.NDArray[np.float32], context: int, outputs: int) -> None:
        """`features` [frames, D] are those it is taught on."""
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(features.mean(axis=0)))
        self.register_buffer("spread", torch.from_numpy(features.std(axis=0)).clamp(min=1e-6))
        self.matrix = nn.Linear(features.shape[1] * context, outputs)
        nn.init.zeros_(self.matrix.weight)

    def forward(self, features: Tensor) -> Tensor:
        """float32[B, context, D] -> [B, outputs]."""
        out: Tensor = self.matrix(((features - self.mean) / self.spread).flatten(1))
        return out


class OneHot(nn.Module):
    """The matrix of one-hot tokens [B, context] -> [B, outputs]: one row a place and token."""

    places: Tensor

    def __init__(self, vocabulary: int, context: int, outputs: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(vocabulary * context, outputs, mode="sum")
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("places", vocabulary * torch.arange(context))

    def forward(self, tokens: Tensor) -> Tensor:
        """int64[B, context] -> [B, outputs]."""
        out: Tensor = self.table(tokens + self.places) + self.bias
        return out


def fit(
    reader: nn.Module, rows: Rows, labels: Labels, classes: dict[str, int], steps: int,
    batch: int = 2048, rate: float = 5e-3, decay: float = 1e-4, seed: int = 0,
) -> None:  # fmt: skip
    """Multinomial logistic regression of all targets at once; they share nothing but the input.

    `labels` are int64[frames] each, of `classes` classes; the reader's outputs stand in their
    order. Adam, its step falling to zero.
    """
    rng = np.random.default_rng(seed)
    frames = len(next(iter(labels.values())))
    adam = torch.optim.Adam(reader.parameters(), rate, weight_decay=decay)
    fall = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.01, steps)
    for _ in range(steps):
        chosen = rng.integers(frames, size=batch)
        logits = reader(rows(chosen)).split(list(classes.values()), dim=1)
        loss = sum(
            F.cross_entropy(part, torch.from_numpy(labels[name][chosen]), ignore_index=UNASKED)
            for name, part in zip(classes, logits, strict=True)
            if (labels[name][chosen] != UNASKED).any()
        )
        assert isinstance(loss, Tensor)
        adam.zero_grad()
        loss.backward()
        adam.step()
        fall.step()


@torch.no_grad()
def read(reader: nn.Module, rows: Rows, frames: int, classes: dict[str, int]) -> Labels:
    """The likeliest class of every target at every frame, int64[frames] each."""
    parts: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in classes}
    for start in range(0, frames, 8192):
        logits = reader(rows(np.arange(start, min(start + 8192, frames))))
        for name, part in zip(classes, logits.split(list(classes.values()), dim=1), strict=True):
            parts[name].append(part.argmax(1).numpy())
    return {name: np.concatenate(found) for name, found in parts.items()}


@dataclass(frozen=True)
class Score:
    """How often a reader is right, and as the mean over classes (chance is one of them)."""

    accuracy: float
    balanced: float

    @classmethod
    def of(cls, found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> Score:
        """Over the frames whose truth is asked for; NaN where there are none."""
        asked = truth != UNASKED
        right = (found == truth)[asked]
        if not len(right):
            return cls(float("nan"), float("nan"))
        each = [right[truth[asked] == k].mean() for k in np.unique(truth[asked])]
        return cls(float(right.mean()), float(np.mean(each)))


def commonest(labels: npt.NDArray[np.int64]) -> int:
    """The class that there is most of."""
    return int(np.bincount(labels[labels != UNASKED]).argmax())
