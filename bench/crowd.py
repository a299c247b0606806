"""Streams that fall due together, on a crew, in real time: how late are their chunks?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from bench.timing import Tail
from engine.controls import ControlSnapshot
from engine.crew import Crew, Hand
from engine.errors import UsageError
from engine.generator import Generator
from engine.tidy import Tidy
from engine.worker import Job

HOPELESS_CHUNKS = 4.0
"""So far behind, a run is given up: it will not keep its deadlines any more."""

PATIENCE_S = 60.0
"""A tick that takes longer never ends."""


@dataclass(frozen=True)
class Crowd:
    """So many streams for some time. Late is positive, in ms; 0 is just in time."""

    streams: int
    blocks: int
    late_ms: Tail
    tick_ms: Tail
    misses: int
    given_up: bool
    memory_mb: float

    @property
    def kept(self) -> bool:
        """All deadlines but one in a thousand were kept."""
        return not self.given_up and self.late_ms.p999 <= 0.0


@dataclass
class Stream:
    """One stream: block k may begin at start + k chunks, and is due a chunk later."""

    chunk_s: float
    due_s: float = 0.0
    late_s: list[float] = field(default_factory=list)
    tick_s: list[float] = field(default_factory=list)

    def left_s(self) -> float:
        """Until the present block is due."""
        return self.due_s - monotonic()

    def play(
        self, hand: Hand, job: Job, start_s: float, blocks: int, hopeless: threading.Event
    ) -> None:
        """In real time; a block that is late keeps those behind it waiting, and that counts."""
        for index in range(blocks):
            intended_s = start_s + index * self.chunk_s
            time.sleep(max(0.0, intended_s - monotonic()))
            if hopeless.is_set():
                return
            self.due_s = intended_s + self.chunk_s
            tick_s = tick(hand, job)
            self.tick_s.append(tick_s)
            self.late_s.append(hand.done_s - self.due_s)
            if self.late_s[-1] > HOPELESS_CHUNKS * self.chunk_s:
                hopeless.set()


def tick(hand: Hand, job: Job) -> float:
    """One tick, and the seconds it took; what went wrong in it comes through."""
    hand.ask(job)
    result = hand.result(PATIENCE_S)
    if result is None:
        raise UsageError(f"a tick has not ended within {PATIENCE_S:g} s")
    if result.error is not None:
        raise result.error
    return result.tick_s


def play_crowd(
    make: Callable[[], Generator], controls: ControlSnapshot, steps: int, *, streams: int,
    threads: int, seconds: float, memory_mb: Callable[[], float], batch: int = 1,
) -> Crowd:  # fmt: skip
    """So many streams from nothing for `seconds`, after a first block of each."""
    crew, job, tidy = Crew(threads, batch), Job(controls, steps, recover=False), Tidy()
    generators = [make() for _ in range(streams)]
    chunk_s = generators[0].chunk_s
    played = [Stream(chunk_s) for _ in range(streams)]
    hands = [
        crew.hire(lambda one=one: one, stream.left_s)  # type: ignore[misc]
        for one, stream in zip(generators, played, strict=True)
    ]
    try:
        for hand in hands:
            tick(hand, job)
        tidy.begin()
        return _together(played, hands, job, max(2, round(seconds / chunk_s)), memory_mb)
    finally:
        tidy.end()
        crew.close()


def _together(
    played: list[Stream], hands: list[Hand], job: Job, blocks: int, memory_mb: Callable[[], float]
) -> Crowd:
    """A thread for each stream, all of them starting at once."""
    hopeless, failures = threading.Event(), []
    start_s = monotonic() + 0.05

    def run(stream: Stream, hand: Hand) -> None:
        try:
            stream.play(hand, job, start_s, blocks, hopeless)
        except Exception as error:  # whatever it was ends the run
            failures.append(error)
            hopeless.set()

    threads = [threading.Thread(target=run, args=pair) for pair in zip(played, hands, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    late_s = [late for stream in played for late in stream.late_s]
    return Crowd(
        streams=len(played),
        blocks=len(late_s),
        late_ms=Tail.of([1e3 * late for late in late_s]),
        tick_ms=Tail.of([1e3 * tick_s for stream in played for tick_s in stream.tick_s]),
        misses=sum(late > 0 for late in late_s),
        given_up=hopeless.is_set(),
        memory_mb=memory_mb(),
    )
