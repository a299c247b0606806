"""What a stream holds on to while nobody asks for something else: beat, key, and a take's sound.

From a take its tempo, its place in the bar, its key and its sound are heard, and kept until
another is asked for. Music that began from nothing is listened to after four seconds, and then
keeps its own tempo. A prompt that changes while the music plays sets everything free. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.brief import Wishes
from engine.clock import KEYS, SIXTEENTHS, Clock, hear_beat, hear_key
from engine.session import Floats

LISTEN_TOKENS = 96
"""So often a stream without a clock is listened to."""


@dataclass(frozen=True, slots=True, eq=False)
class Bearings:
    """`since` is the token from which on the music counts as this stream's own."""

    since: int = 0
    clock: Clock | None = None
    key: tuple[int, int] | None = None  # tonic, place in SCALES
    sound: Floats | None = None  # float32[E]: a take's place in the joint space

    def heard(self, evidence: Floats, next_index: int, rate_hz: float) -> Bearings:
        """With the beat of the tokens before `next_index`, evidence float32[n, 64], if it tells."""
        first = next_index - evidence.shape[0]
        return replace(self, clock=hear_beat(evidence[:, :SIXTEENTHS], first, rate_hz))

    def taken(self, evidence: Floats, next_index: int, rate_hz: float) -> Bearings:
        """With the beat and the key of a take whose tokens say this, if they tell one."""
        return replace(self.heard(evidence, next_index, rate_hz), key=hear_key(evidence[:, -KEYS:]))

    def paced(self, bpm: float, next_index: int, rate_hz: float) -> Bearings:
        """At this tempo from the next token on; a bar begins there if there was no clock."""
        if self.clock is None:
            clock = Clock(bpm, 0.0, rate_hz).shifted(next_index)
        elif self.clock.bpm == bpm:
            return self
        else:
            clock = self.clock.paced(bpm, next_index)
        return replace(self, clock=clock)

    def keyed(self, tonic: float | None, scale: float | None) -> Bearings:
        """In this key from now on, if it is told whole."""
        key = self.key if tonic is None or scale is None else (round(tonic), round(scale))
        return self if key == self.key else replace(self, key=key)

    def silent_at(self, next_index: int) -> bool:
        """Is it time to listen for a beat?"""
        own = next_index - self.since
        return self.clock is None and own > 0 and own % LISTEN_TOKENS == 0

    def filled(self, wishes: Wishes) -> Wishes:
        """The wishes, and what is held on to where they are free."""
        if wishes.bpm is None and self.clock is not None:
            wishes = replace(wishes, bpm=self.clock.bpm)
        if self.key is not None and wishes.tonic is None and wishes.scale is None:
            wishes = replace(wishes, tonic=self.key[0], scale=self.key[1])
        return wishes
