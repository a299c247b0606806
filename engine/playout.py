"""How long the audio of a ring will last, from the times at which a sink took some.

A sink takes audio in gulps: a device 10 ms at a time, the feed a packet of 100 ms. What the ring
holds does not say when it comes short: 150 ms last 50 ms if the next packet is due now. The times
of the gulps do: a sink that keeps its own pace has never taken more than (t − phase) · rate samples
by the time t, and `phase` is the least that was seen. A gulp that comes late moves nothing, for
the sink catches up. Data and the time go in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.ring import AudioRing
from engine.session import Floats

LEAK = 0.01
"""The phase moves up by this share of the time played, so that an old jitter is forgotten and a
clock slower than ours is followed."""

STANDSTILL_S = 0.5
"""A gulp that is so late means that the sink stood still and will not catch up."""


@dataclass(frozen=True, slots=True)
class Taken:
    """After a gulp: samples taken in all, what the next gulps will take, and the phase in s."""

    samples: int
    gulp_samples: int
    phase_s: float


class Playout:
    """Told of every gulp by the sink's thread; any thread may ask."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._taken: Taken | None = None
        self._wanted = 0

    @property
    def started(self) -> bool:
        """True once the sink has taken music."""
        return self._taken is not None

    def note(self, now_s: float, samples: int, wanted: int, found: int) -> None:
        """A gulp of `wanted` samples found so many, and so many `samples` were taken in all.

        What it did not find is silence that the sink played, which puts off all that follows.
        """
        if not samples:
            return
        seen_s = now_s - samples / self.rate_hz
        last, phase_s = self._taken, seen_s
        if last is not None:
            usual_s = last.phase_s + (LEAK * wanted + wanted - found) / self.rate_hz
            phase_s = min(seen_s, usual_s) if seen_s - usual_s < STANDSTILL_S else seen_s
        gulp = wanted if last is None or wanted == self._wanted else 1
        self._wanted = wanted
        self._taken = Taken(samples, gulp, phase_s)

    def left_s(self, now_s: float, written_samples: int) -> float:
        """Seconds until a gulp comes short of what was written; negative if it should have by now.

        Where the sink has not begun, or stands still: all that is written and was not taken.
        """
        last = self._taken
        if last is None:
            return written_samples / self.rate_hz
        ahead = written_samples - last.samples
        next_s = last.phase_s + (last.samples + last.gulp_samples) / self.rate_hz
        if now_s - next_s > STANDSTILL_S:
            return ahead / self.rate_hz
        return next_s + ahead // last.gulp_samples * last.gulp_samples / self.rate_hz - now_s


class WatchedRing(AudioRing):
    """An audio ring that notes when audio is taken from it, by the clock it is given."""

    def __init__(
        self, capacity_samples: int, channels: int, rate_hz: int, clock: Callable[[], float]
    ) -> None:
        super().__init__(capacity_samples, channels)
        self.playout = Playout(rate_hz)
        self._clock = clock

    def read_into(self, out: Floats) -> int:
        """As `AudioRing.read_into`."""
        found = super().read_into(out)
        self.playout.note(self._clock(), self.read_samples, out.shape[0], found)
        return found

    def left_s(self) -> float:
        """Seconds until a read will come short, if nothing more is written."""
        return self.playout.left_s(self._clock(), self.written_samples)
