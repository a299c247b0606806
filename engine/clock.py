"""The bar as a clock: where in it a semantic token falls, and how it is heard in tokens. Pure.

A place in the bar is counted in sixteenths, 0 <= place < 16; token i stands for its middle, the
time (i + 0.5) / rate. Evidence is what single tokens say of the beat and the key, as logarithms of
likelihood ratios (`model.evidence`); over ten seconds it adds up to a tempo, a place and a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.brief import BPM_CENTRES, SCALES, TONICS

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.floating[Any]]

SIXTEENTHS = 16
"""Places in a bar of four beats that evidence tells apart."""
HARMONICS = (1, 2, 4, 8, 16)
"""Turns a bar of the waves that tell a place: bar, half, beat, eighth, sixteenth."""
CLOCK_SIZE = 2 * len(HARMONICS)
KEYS = len(TONICS) * len(SCALES)
EVIDENCE_SIZE = SIXTEENTHS + KEYS

BEAT_SURE, KEY_SURE = 0.05, 0.05
"""Nats a token by which a beat or a key must beat chance to be believed."""
SHORTEST_S = 3.0
"""Less music than this tells no tempo."""

_TEMPOS = BPM_CENTRES[0] * 2 ** (np.arange(161) / 80)
"""Tempos tried first, 0.9 % apart."""
_TURNS = np.add.outer(np.arange(SIXTEENTHS), np.arange(SIXTEENTHS)) % SIXTEENTHS
"""[place, turn]: where a place lies when the bar is turned so far."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A tempo, and the place in the bar at time 0 of a stream of `rate_hz` tokens a second."""

    bpm: float
    start: float
    rate_hz: float

    def places(self, indices: npt.NDArray[np.int64]) -> Places:
        """float64[n]: where the tokens of these indices fall."""
        places: Places = (self.start + (indices + 0.5) * self._speed) % SIXTEENTHS
        return places

    def shifted(self, index: int) -> Clock:
        """The same tempo, with a bar that begins at the token `index`."""
        return Clock(self.bpm, -index * self._speed % SIXTEENTHS, self.rate_hz)

    def paced(self, bpm: float, index: int) -> Clock:
        """Another tempo from the token `index` on, without a jump there."""
        place = self.start + index * self._speed
        begun = Clock(bpm, 0.0, self.rate_hz).shifted(index)
        return Clock(bpm, (begun.start + place) % SIXTEENTHS, self.rate_hz)

    @property
    def _speed(self) -> float:
        """Sixteenths a token."""
        return self.bpm / 60 * 4 / self.rate_hz


def clock_rows(places: Places) -> Floats:
    """What a network is told of places float64[n]: float32[n, CLOCK_SIZE]. No clock is all 0."""
    turns = places[:, None] * np.array(HARMONICS) * (2 * np.pi / SIXTEENTHS)
    return np.concatenate([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def hear_beat(evidence: Floats, first: int, rate_hz: float) -> Clock | None:
    """The likeliest clock of tokens with this evidence float32[n, 16]; the first is `first`.

    Every tempo is tried from every place, then those near the best, finer. None where the music
    is too short or tells no beat.
    """
    count = evidence.shape[0]
    if count < SHORTEST_S * rate_hz:
        return None
    bpm, place = _roughly(evidence, rate_hz)
    near = bpm * 2 ** (np.arange(-5, 6) / 300)
    bpm, place, score = _best(evidence, near, place + np.arange(-4, 5) / 4, rate_hz)
    if score < BEAT_SURE * count:
        return None
    return Clock(bpm, (place - first * bpm / 60 * 4 / rate_hz) % SIXTEENTHS, rate_hz)


def _roughly(evidence: Floats, rate_hz: float) -> tuple[float, float]:
    """The likeliest of all tempos, and place of its first token's beginning, in half sixteenths.

    A tempo sees one place of every token; what it sees there is told for all sixteen turns of the
    bar at once, by adding up rows: a tenth of what looking every one of them up takes.
    """
    turned = evidence[:, _TURNS].reshape(-1, SIXTEENTHS)
    rows = _rows(evidence.shape[0], rate_hz)
    scores = turned.take(rows, axis=0).sum(0)  # [tempos, turns]
    tempo, turn = divmod(int(scores.argmax()), SIXTEENTHS)
    return float(_TEMPOS[tempo]), turn + 0.5


@lru_cache(maxsize=4)
def _rows(count: int, rate_hz: float) -> npt.NDArray[np.int64]:
    """Token and place, as one number, that every tempo sees, [tokens, tempos]."""
    at = np.arange(count)[:, None]
    places = np.floor(_passed(_TEMPOS, at, rate_hz) + 0.5).astype(np.int64) % SIXTEENTHS
    rows: npt.NDArray[np.int64] = at * SIXTEENTHS + places
    return rows


def _best(
    evidence: Floats, tempos: Places, shifts: Places, rate_hz: float
) -> tuple[float, float, float]:
    """The likeliest of these tempos, of these places at its first token's beginning; its score."""
    at = np.arange(evidence.shape[0])
    passed = _passed(tempos[:, None], at, rate_hz)
    places = np.floor(passed[:, None] + shifts[:, None]).astype(np.int64) % SIXTEENTHS
    scores = evidence[at, places].sum(-1)  # [tempos, shifts]
    tempo, shift = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(tempos[tempo]), float(shifts[shift]), float(scores[tempo, shift])


def _passed(tempos: Places, at: npt.NDArray[np.int64], rate_hz: float) -> Places:
    """Sixteenths from the first token's beginning to the middle of these, at these tempos."""
    passed: Places = tempos * (4 / 60 / rate_hz) * (at + 0.5)
    return passed


def hear_key(evidence: Floats) -> tuple[int, int] | None:
    """(tonic, place in SCALES) of tokens with this evidence float32[n, 48], or None."""
    if not evidence.shape[0]:
        return None
    scores = evidence.mean(0)
    key = int(scores.argmax())
    return divmod(key, len(SCALES)) if scores[key] >= KEY_SURE else None
