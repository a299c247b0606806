"""Orders that wait for their moment: a beat, a sample of the stream, or a time. Pure.

Ideas and `hold` act on what is *made* next, the other hands on what is *played* next; the two are
a ring of audio apart. So each waits on its own side of the ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import UsageError
from engine.rig.beats import CLOSE, BeatClock
from engine.rig.orders import Order, SetControls

Side = Literal["made", "played"]

MOST_WAITING = 1024


@dataclass(frozen=True, slots=True)
class _Entry:
    side: Side
    beat: float | None
    sample: int | None
    order: Order


class Agenda:
    """What is still to be done. Not thread-safe."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._timed: list[tuple[float, Order]] = []

    def __len__(self) -> int:
        return len(self._entries) + len(self._timed)

    def at_beat(self, side: Side, beat: float, order: Order) -> None:
        """On the first sample of this side that is on or after the beat."""
        last = self._entries[-1] if self._entries else None
        if (
            last
            and isinstance(last.order, SetControls)
            and isinstance(order, SetControls)
            and ((last.side, last.beat) == (side, beat))
        ):
            values = {**last.order.values, **order.values}  # a fader that moves: its newest place
            self._entries[-1] = _Entry(side, beat, None, SetControls(values))
            return
        self._check()
        self._entries.append(_Entry(side, beat, None, order))

    def at_sample(self, side: Side, sample: int, order: Order) -> None:
        """On the first look at this side that is on or after the sample."""
        self._check()
        self._entries.append(_Entry(side, None, sample, order))

    def at_time(self, due_s: float, order: Order) -> None:
        """At a time of the monotonic clock."""
        self._check()
        self._timed.append((due_s, order))

    def due(self, side: Side, sample: int, clock: BeatClock) -> list[Order]:
        """What this side has reached, in the order in which it came in."""
        beat = clock.beat_at(sample) + CLOSE

        def reached(entry: _Entry) -> bool:
            if entry.side != side:
                return False
            if entry.beat is not None:
                return entry.beat <= beat
            return entry.sample is not None and entry.sample <= sample

        found = [entry.order for entry in self._entries if reached(entry)]
        if found:
            self._entries = [entry for entry in self._entries if not reached(entry)]
        return found

    def due_by(self, now_s: float) -> list[Order]:
        """What its time has come for, earliest first."""
        found = sorted((one for one in self._timed if one[0] <= now_s), key=lambda one: one[0])
        if found:
            self._timed = [one for one in self._timed if one[0] > now_s]
        return [order for _, order in found]

    def drop(self, kind: type[Order]) -> None:
        """Forget what waits of this kind."""
        self._entries = [one for one in self._entries if not isinstance(one.order, kind)]

    def _check(self) -> None:
        if len(self) >= MOST_WAITING:
            raise UsageError(f"{MOST_WAITING} changes wait for their beat already; wait for them")
