"""Which semantic tokens fit a key. Pure.

The notes of a key are heard far more surely than which of them is home, so the four modes of one
set of notes count as one. Tokens that fit are all alike, and those that do not are held back by as
much as they are rarer in such music than in all: a pull towards the tokens that speak most clearly
for a key leaves the music on a single chord (bench/LOG.md, 2026-11-22).
"""

from __future__ import annotations

import numpy as np

from engine.brief import SCALES, TONICS
from engine.session import Floats

RELATIVE_MAJOR = {"major": 0, "minor": 3, "dorian": 10, "mixolydian": 5}
"""Semitones from a tonic up to that of the major scale with the same notes."""


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
