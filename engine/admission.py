"""Whether one more stream fits, from what ticks were measured to take. No clock, no threads.

Every stream needs a tick a chunk. `workers` threads have workers × chunk seconds for the ticks of
all streams, so n streams keep their deadlines if n × tick ≤ workers × chunk. The tick is that which
one in a thousand exceeds, with all the passes that the ladder has: ticks of fewer passes, made in
a hurry, must not look like room for more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from engine.errors import RoomError

TAIL = 0.999
HORIZON_S = 60.0
"""What is looked back on, of all streams together: what was slow before is forgiven."""

ENOUGH = 4
"""Ticks before anything is believed."""

FULL_RETRY_S = 5.0
"""What to wait for a stream to leave."""

MEASURING_RETRY_S = 1.0
"""What to wait for the first ticks."""


class Load:
    """What the ticks of all streams took, each as if it had all passes. Not thread-safe."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()  # when, and how long
        self._ordered: list[float] = []

    def __len__(self) -> int:
        return len(self._ordered)

    def record(self, now_s: float, tick_s: float, passes: int, passes_s: float, full: int) -> None:
        """A tick of `passes` passes, which took `passes_s` of it; `full` is what it should have."""
        if passes < full:
            tick_s += passes_s / max(passes, 1) * (full - passes)
        while self._recent and now_s - self._recent[0][0] > HORIZON_S:
            del self._ordered[bisect_left(self._ordered, self._recent.popleft()[1])]
        self._recent.append((now_s, tick_s))
        insort(self._ordered, tick_s)

    @property
    def tail_s(self) -> float | None:
        """Seconds that one tick in a thousand exceeds; None for too few.

        Of fewer than a thousand one exceeds it as well: a single hiccup says nothing about room.
        """
        count = len(self._ordered)
        return self._ordered[min(count - 2, int(TAIL * count))] if count >= ENOUGH else None

    def room(self, workers: int, chunk_s: float) -> int | None:
        """How many streams keep their deadlines; None while too little is known."""
        return None if self.tail_s is None else int(workers * chunk_s / self.tail_s)


def check_room(playing: int, slots: int, load: Load, workers: int, chunk_s: float) -> None:
    """RoomError where `playing` streams may not become one more. The first one always may."""
    if playing >= slots:
        raise RoomError(f"all {slots} places are taken; try again later", FULL_RETRY_S)
    if not playing:
        return
    room = load.room(workers, chunk_s)
    if room is None:
        raise RoomError(
            "how many streams this machine can play is being measured; try again in a moment",
            MEASURING_RETRY_S,
        )
    if playing >= room:
        tail_ms = 1000 * (load.tail_s or 0.0)
        raise RoomError(
            f"{playing} streams of {tail_ms:.0f} ms a tick leave no room for another in chunks of "
            f"{1000 * chunk_s:.0f} ms on {workers} threads; try again later",
            FULL_RETRY_S,
        )
