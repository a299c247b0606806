"""Independent streams from one set of graphs: weights in memory once, a place for each stream.

    pool = Pool(make, chunk_s=0.32, slots=6, ring_s=0.6)
    runner = pool.join(controls, on_block=blocks.note)   # RoomError where it would not fit
    …                                                    # plays into runner.ring
    pool.leave(runner)
    pool.close()

A stream is a runner of its own: generator, controls, ring, cover and scheduler are nobody else's,
so the same seed gives the same samples alone and in company. What streams share is the crew whose
threads do their ticks, and the sessions behind the generators, which keep nothing between runs.
Streams come and go between ticks; a place is free again when its last tick is over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic

from engine.controls import Controls
from engine.crew import Crew, Hand
from engine.generator import Block, Generator
from engine.runner import Runner
from engine.scheduler import MARGIN_S


class Pool:
    """At most `slots` streams at a time. Any thread may call."""

    def __init__(
        self, make: Callable[[], Generator], *, chunk_s: float, slots: int, ring_s: float,
        threads: int, margin_s: float = MARGIN_S, batch: int = 1,
    ) -> None:  # fmt: skip
        """`make` gives generators of one bundle, ladder and chunk size, on one backend.

        So many `threads` tick at a time (see `workers`), each up to `batch` streams in step.
        """
        self.slots = slots
        self._make = make
        self._chunk_s = chunk_s
        self._ring_s = ring_s
        self._margin_s = margin_s
        self._crew = Crew(threads, batch)
        self._lock = threading.Lock()
        self._taken = 0
        self._playing: set[Runner] = set()

    @property
    def taken(self) -> int:
        """Places taken, by streams that play, begin or end."""
        return self._taken

    def join(
        self, controls: Controls, *, on_block: Callable[[Block], None] | None = None,
        make: Callable[[], Generator] | None = None,
    ) -> Runner:  # fmt: skip
        """One more stream, begun; RoomError where it would not fit.

        `make` gives the generator where its music starts, if not from nothing.
        """
        runner = self.seat(controls, on_block=on_block, make=make)
        runner.start()
        return runner

    def seat(
        self, controls: Controls, *, on_block: Callable[[Block], None] | None = None,
        make: Callable[[], Generator] | None = None,
    ) -> Runner:  # fmt: skip
        """The same, but not begun yet: `Runner.start` begins it."""
        with self._lock:
            self._crew.check_room(self._taken, self.slots, self._chunk_s)
            self._taken += 1
        try:
            runner = self._runner((make or self._make)(), controls, on_block)
        except BaseException:
            self._free()
            raise
        with self._lock:
            self._playing.add(runner)
        return runner

    def leave(self, runner: Runner) -> None:
        """End a stream; returns when its last tick is over, or has been given up."""
        with self._lock:
            if runner not in self._playing:
                return
            self._playing.discard(runner)
        runner.stop()
        self._free()

    def close(self) -> None:
        """End all streams and the crew."""
        for runner in tuple(self._playing):
            self.leave(runner)
        self._crew.close()

    def _runner(
        self, generator: Generator, controls: Controls, on_block: Callable[[Block], None] | None
    ) -> Runner:
        def hire(make: Callable[[], Generator]) -> Hand:
            # What plays nothing yet can wait, but not for ever.
            first_s = monotonic() + self._chunk_s

            def left_s() -> float:
                return runner.ring.left_s() if runner.ready.is_set() else first_s - monotonic()

            return self._crew.hire(make, left_s)

        runner = Runner(
            generator, controls, ring_s=self._ring_s, on_block=on_block, spare=self._make,
            margin_s=self._margin_s, hire=hire,
        )  # fmt: skip
        return runner

    def _free(self) -> None:
        with self._lock:
            self._taken -= 1


def workers(threads: int = 1) -> int:
    """How many ticks at a time suit the cores that this process may use, of `threads` each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // threads)
