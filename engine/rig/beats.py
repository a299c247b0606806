"""The beat clock: beats and bars of the music, from the tempo and the stream's sample position.

Beats count from 0 where the stream begins; bar 1 begins with beat 0. Music that is made runs ahead
of music that is heard, so a tempo holds from one sample on and earlier ones stay known. Pure.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from engine.errors import UsageError

USUAL_BPM = 120.0
"""Where nobody says a tempo."""

KNOWN = 256
"""Tempo changes remembered; more than fit into what is made ahead."""

CLOSE = 1e-6
"""Beats that are nothing."""


@dataclass(frozen=True, slots=True)
class _Anchor:
    sample: int
    beat: float
    bpm: float


class BeatClock:
    """Where the beats lie. Not thread-safe."""

    def __init__(self, sample_rate_hz: int, bpm: float = USUAL_BPM, beats_per_bar: int = 4) -> None:
        if not bpm > 0 or beats_per_bar < 1:
            raise UsageError(f"a beat clock of {bpm:g} bpm and {beats_per_bar} beats a bar")
        self.beats_per_bar = beats_per_bar
        self._rate_hz = sample_rate_hz
        self._anchors: deque[_Anchor] = deque([_Anchor(0, 0.0, bpm)], KNOWN)

    @property
    def bpm(self) -> float:
        """The newest tempo."""
        return self._anchors[-1].bpm

    def tempo(self, bpm: float, sample: int) -> None:
        """From this sample on; a sample before the last change moves up to it."""
        sample = max(sample, self._anchors[-1].sample)
        if bpm != self.bpm:
            self._anchors.append(_Anchor(sample, self.beat_at(sample), bpm))

    def downbeat(self, sample: int) -> None:
        """A bar begins here: the nearest one is moved to this sample, and the newest tempo too."""
        bars, bpm = round(self.beat_at(sample) / self.beats_per_bar), self.bpm
        while len(self._anchors) > 1 and self._anchors[-1].sample > sample:
            self._anchors.pop()
        self._anchors.append(_Anchor(sample, float(bars * self.beats_per_bar), bpm))

    def beat_at(self, sample: int) -> float:
        """The beat that sounds at a sample, such as 4.5 in the middle of the fifth."""
        found = self._anchors[0]
        for anchor in self._anchors:
            if anchor.sample <= sample:
                found = anchor
        return found.beat + (sample - found.sample) * found.bpm / (60.0 * self._rate_hz)

    def bar_at(self, sample: int) -> int:
        """The number of the bar that sounds at a sample, from 1."""
        return math.floor((self.beat_at(sample) + CLOSE) / self.beats_per_bar) + 1

    def next(self, unit: str, sample: int) -> float:
        """The first beat at or after a sample that begins a `unit`: beat or bar."""
        size = self.beats_per_bar if unit == "bar" else 1
        return float(size * math.ceil((self.beat_at(sample) - CLOSE) / size))

    def sample_of(self, beat: float, sample: int) -> int:
        """Where a beat sounds that comes after a sample, if the newest tempo stays."""
        ahead = beat - self.beat_at(sample)
        return sample + max(0, math.ceil(ahead * 60.0 * self._rate_hz / self.bpm))

    def beat_of_bar(self, bar: int) -> float:
        """The beat that bar `bar`, from 1, begins with."""
        return float((bar - 1) * self.beats_per_bar)
