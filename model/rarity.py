"""Songs whose instruments a corpus seldom has: they may be met more often than by their length.

What is asked for is any instrument alike; what is composed has drums and a bass nearly always and
brass nearly never, and a network that seldom met an instrument plays another in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.corpus.labels import frame_labels
from model.corpus.variants import truth_beside

RARE = 0.2
"""A family of instruments is rare that sounds in a smaller part of a corpus than this."""
RATE_HZ = 2.0
"""How often the truth is asked."""


def taken_oftener(corpus: Path | None, names: Iterable[str], most: float) -> dict[str, float]:
    """How many times as often each of these songs is taken: 1 where nothing rare ever sounds, up
    to `most` where something rare always does. Songs without truth are not named.
    """
    parts = {name: part for name in names if (part := _sounding(corpus, name)) is not None}
    if not parts:
        return {}
    rare = np.mean(list(parts.values()), axis=0) < RARE
    return {name: 1.0 + (most - 1.0) * min(1.0, part[rare].sum()) for name, part in parts.items()}


def _sounding(corpus: Path | None, name: str) -> npt.NDArray[np.float64] | None:
    """The part of a song in which each family sounds: [families]."""
    truth = truth_beside(corpus, name)
    if truth is None:
        return None
    frames = max(1, round(RATE_HZ * truth["duration_s"]))
    found: npt.NDArray[np.float64] = frame_labels(truth, frames, RATE_HZ)["families"].mean(
        axis=0, dtype=np.float64
    )
    return found
