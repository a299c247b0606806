"""The thread that owns a generator and does its ticks, one job at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from engine.controls import ControlSnapshot
from engine.generator import Block, Generator


@dataclass(frozen=True, slots=True)
class Job:
    """One tick; `recover` first gives up what the last tick left, `anew` all that was played."""

    controls: ControlSnapshot
    steps: int
    recover: bool
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A block, or why there is none. A worker's first tick is `cold`: it loads and warms up."""

    block: Block | None
    error: Exception | None
    tick_s: float
    cold: bool


class Worker:
    """Does jobs until it is dismissed. `make` is called in its thread and gives the generator."""

    queued = False  # True while a job waits for others' to be done (`engine.crew`)

    def __init__(self, make: Callable[[], Generator]) -> None:
        self.generator: Generator | None = None
        self._make = make
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="perpetuo-worker", daemon=True)
        self._thread.start()

    def ask(self, job: Job) -> None:
        """Hand over a job; exactly one result follows."""
        self._jobs.put(job)

    def result(self, timeout_s: float) -> Result | None:
        """The result of the last job, None if it is not there in time."""
        try:
            return self._results.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None

    def dismiss(self, timeout_s: float = 0.0) -> None:
        """Let it end after its present job, and wait so long for that."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        cold = True
        while (job := self._jobs.get()) is not None:
            began_s = perf_counter()
            block, error = None, None
            try:
                block = self._tick(job)
            except Exception as caught:
                error = caught
            self._results.put(Result(block, error, perf_counter() - began_s, cold))
            cold = cold and block is None
            if block is not None and self.generator is not None:
                self.generator.rest()

    def _tick(self, job: Job) -> Block:
        return self._ready(job).tick(job.controls, job.steps)

    def _ready(self, job: Job) -> Generator:
        """The generator, brought to where the job begins."""
        if self.generator is None:
            self.generator = self._make()
        elif job.anew:
            self.generator.forget()
        elif job.recover:
            self.generator.recover()
        return self.generator
