"""A fixed number of threads that do the ticks of many streams, the most urgent first.

A stream hires a `Hand`, which looks like a worker of its own: it is asked for one tick at a time.
The crew's threads take what is asked in the order in which it is due (earliest deadline first,
which keeps every deadline that any order could keep; Liu and Layland 1973); a tick that has begun
is finished. How urgent a stream is, it says itself, whenever a thread looks for work.

A stream that gives up a hand in the middle of a tick leaves a thread that may never come back; the
crew puts another in its place, and the old one ends when its tick does.

With `batch` a thread takes so many ticks at once, as far as they wait, and does them in step: where
streams share their rows (`engine.slots`), each pass of all of them is one run.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

from engine.admission import Load, check_room
from engine.generator import Block, Generator
from engine.lockstep import Ticking, together
from engine.worker import Job, Result, Worker

LeftS = Callable[[], float]
"""Seconds until the next block of a stream is due; any thread may ask."""

Make = Callable[[], Generator]


class Hand(Worker):
    """One stream's place in a crew. `make` is called for the first job, in the crew's thread."""

    def __init__(self, crew: Crew, make: Make, left_s: LeftS) -> None:
        self.generator: Generator | None = None
        self.left_s = left_s
        self.queued = False  # a job waits for its turn
        self.at_work = False
        self.given_up = False
        self.shift = Shift()
        self.done_s = 0.0  # when the last tick ended, on the monotonic clock
        self._crew = crew
        self._make = make
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._cold = True

    def ask(self, job: Job) -> None:
        """Hand over a job; exactly one result follows, unless it is dismissed before."""
        self.queued = True
        self._crew.put(self, job)

    def dismiss(self, timeout_s: float = 0.0) -> None:
        """Drop what waits; give up what is being done, if it is not over in so many seconds."""
        self._crew.let_go(self, timeout_s)

    def work(self, job: Job) -> Result:
        """Do a job, in the thread of the caller."""
        began_s = perf_counter()
        try:
            made: Block | Exception = self._tick(job)
        except Exception as error:
            made = error
        return self.done(made, perf_counter() - began_s)

    def ticking(self, job: Job) -> Ticking[Block]:
        """A job that gives up its passes."""
        return (yield from self._ready(job).ticking(job.controls, job.steps))

    def done(self, made: Block | Exception, tick_s: float) -> Result:
        """What came of a job that took so long."""
        block, error = (None, made) if isinstance(made, Exception) else (made, None)
        result = Result(block, error, tick_s, self._cold)
        self._cold = self._cold and block is None
        self.done_s = monotonic()
        return result

    def deliver(self, result: Result) -> None:
        """Hand the result to whoever waits for it."""
        self._results.put(result)


@dataclass
class Shift:
    """What a thread does at one time."""

    lost: bool = False  # a hand was given up: another thread does what comes after


Taken = Sequence[tuple[Hand, Job]]


def in_step(taken: Taken) -> list[Result]:
    """Several jobs at once; of the time that it takes, each has its share."""
    began_s = perf_counter()
    made = together(hand.ticking(job) for hand, job in taken)
    share_s = (perf_counter() - began_s) / len(taken)
    return [hand.done(one, share_s) for (hand, _), one in zip(taken, made, strict=True)]


class Crew:
    """`threads` threads for any number of streams, each with up to `batch` ticks at a time."""

    def __init__(self, threads: int, batch: int = 1) -> None:
        self.threads = threads
        self.batch = batch
        self._load = Load()
        self.substitutes = 0  # threads put in the place of one that did not come back
        self._waiting: dict[Hand, Job] = {}
        self._change = threading.Condition()
        self._closing = False
        self._team: list[threading.Thread] = []
        for _ in range(threads):
            self._enlist()

    def hire(self, make: Make, left_s: LeftS) -> Hand:
        """A place for one more stream."""
        return Hand(self, make, left_s)

    def check_room(self, playing: int, slots: int, chunk_s: float) -> None:
        """RoomError where `playing` of at most `slots` streams may not become one more."""
        with self._change:
            check_room(playing, slots, self._load, self.threads, chunk_s)

    def put(self, hand: Hand, job: Job) -> None:
        """The one job of a hand, to be done when its turn comes."""
        with self._change:
            assert hand not in self._waiting, "a hand has one job at a time"
            self._waiting[hand] = job
            self._change.notify_all()

    def let_go(self, hand: Hand, timeout_s: float) -> None:
        """Take back the job of a hand that waits; replace the thread of one that works on."""
        with self._change:
            self._waiting.pop(hand, None)
            hand.queued = False
            self._change.wait_for(lambda: not hand.at_work, timeout_s)
            if not hand.at_work or self._closing:
                return
            hand.given_up = True
            if not hand.shift.lost:
                hand.shift.lost = True
                self.substitutes += 1
                self._enlist()

    def close(self, timeout_s: float = 2.0) -> None:
        """End all threads; one that is stuck is left behind."""
        with self._change:
            self._closing = True
            self._waiting.clear()
            self._change.notify_all()
        until_s = monotonic() + timeout_s
        for thread in self._team:
            thread.join(max(0.0, until_s - monotonic()))

    def _enlist(self) -> None:
        thread = threading.Thread(target=self._run, name="perpetuo-crew", daemon=True)
        self._team = [one for one in self._team if one.is_alive()] + [thread]
        thread.start()

    def _run(self) -> None:
        shift = Shift()
        while not shift.lost and (taken := self._next(shift)):
            hand, job = taken[0]
            results = [hand.work(job)] if len(taken) == 1 else in_step(taken)
            with self._change:
                for (hand, _), result in zip(taken, results, strict=True):
                    self._note(hand, result)
                    hand.at_work = False
                self._change.notify_all()
            for (hand, _), result in zip(taken, results, strict=True):
                if not hand.given_up:
                    hand.deliver(result)

    def _note(self, hand: Hand, result: Result) -> None:
        """What a tick took, unless it was the first or there is none."""
        block, generator = result.block, hand.generator
        if block is None or generator is None or result.cold:
            return
        full = generator.ladder.steps // generator.ladder.depth
        passes_s = block.stage_s["passes"]
        self._load.record(hand.done_s, result.tick_s, block.passes, passes_s, full)

    def _next(self, shift: Shift) -> Taken:
        """The most urgent jobs, as soon as there is one; none when the crew is closed."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return ()
            hands = sorted(self._waiting, key=lambda one: one.left_s())[: self.batch]
            for hand in hands:
                hand.queued, hand.at_work, hand.shift = False, True, shift
            return [(hand, self._waiting.pop(hand)) for hand in hands]
