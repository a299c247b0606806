"""Which semantic tokens fit a key. Pure.

The notes of a key are heard far more surely than which of them is home, so the four modes of one
set of notes count as one. Tokens that fit are all alike, and those that do not are held back by as
much as they are rarer in such music than in all: a pull towards the tokens that speak most clearly
for a key leaves the music on a single chord (bench/LOG.md, 2026-11-22). But tokens that all fit may
fit another key as well, and leave the one that is wanted unsaid: a compass watches what was played
and favours what tells the two apart, until it is told.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.brief import SCALES, TONICS
from engine.session import Floats

RELATIVE_MAJOR = {"major": 0, "minor": 3, "dorian": 10, "mixolydian": 5}
"""Semitones from a tonic up to that of the major scale with the same notes."""

FAINTEST = -3.0
"""Nats below which no token is surer that some notes are not meant."""
CLEAR = 3.0
"""Nats a token by which the notes that are wanted should be surer than any others."""
MOST = 3.0
"""Nats by which a token is favoured at most, or held back."""


def notes_of(tonic: int, scale: str) -> int:
    """Tonic of the major scale with the notes of another scale: A minor has those of C."""
    return (tonic + RELATIVE_MAJOR[scale]) % len(TONICS)


def by_notes(keys: Floats) -> Floats:
    """keys float32[V, 48], log P(key | token) / P(key) -> the same of its notes, float32[V, 12]."""
    ratios = np.exp(keys.reshape(-1, len(TONICS), len(SCALES)))
    places = np.arange(len(TONICS))
    modes = [ratios[:, (places - RELATIVE_MAJOR[s]) % len(TONICS), k] for k, s in enumerate(SCALES)]
    notes: Floats = np.log(np.mean(modes, axis=0))
    return notes


def misfit(notes: Floats, tonic: int | None, scale: int | None) -> Floats:
    """float32[V] ≤ 0: how badly each token fits the notes of a key, in nats; `notes` [V, 12].

    Of a tonic or a scale alone, with any of their keys.
    """
    tonics = range(len(TONICS)) if tonic is None else (tonic,)
    scales = SCALES if scale is None else (SCALES[scale],)
    sets = sorted({notes_of(t, s) for t in tonics for s in scales})
    ratio: Floats = np.log(np.exp(notes[:, sets]).mean(1))
    return np.minimum(ratio, np.float32(0.0))


class Compass:
    """Which notes the music strays to, and the tokens that bring it back."""

    def __init__(self, notes: Floats) -> None:
        """`notes` [V, 12] as of `by_notes`."""
        self._notes = np.maximum(notes, np.float32(FAINTEST))

    def course(self, wanted: int, played: npt.NDArray[np.int64]) -> Floats:
        """float32[V]: what tells the notes `wanted` from those that `played` int64[n] could be.

        The less clearly the tokens so far do, the more, from MOST nats down to none at CLEAR.
        """
        said = self._notes[played].mean(0) if played.size else np.zeros(len(TONICS), np.float32)
        own, said[wanted] = said[wanted], -np.inf
        other = int(said.argmax())
        unclear = min(1.0, max(0.0, 1.0 - float(own - said[other]) / CLEAR))
        apart = self._notes[:, wanted] - self._notes[:, other]
        course: Floats = np.float32(unclear) * np.clip(apart, -MOST, MOST)
        return course
