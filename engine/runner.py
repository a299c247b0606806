"""Keeps an audio ring filled in real time, whatever the generator does.

Two threads. The *worker* owns the generator and does one tick at a time. The *keeper* owns the
writing end of the ring: it asks the scheduler, hands the worker a job, and waits for the block no
longer than the ring lasts. A block that is late, broken or failed is covered for by the present
music; a late one is still played, after the cover. After three missed deadlines in a row, or
three failures, the worker is replaced by a new one from `spare`, which goes on behind the last
good chunks; the old one is left to end by itself.

The process should call `sys.setswitchinterval(0.0005)` where it starts: with Python's default of
5 ms a busy thread delays an audio callback beside it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from engine.controls import Controls, ControlSnapshot
from engine.generator import Block, Generator
from engine.producer import Producer
from engine.prompts import Prompts
from engine.ring import AudioRing
from engine.scheduler import Costs, Generate, Hold, Scheduler, Wait
from engine.session import Floats
from engine.window import Plan, Rungs
from engine.worker import Job, Result, Worker

COVER_S = 0.03
"""Audio left in the ring when a late block is covered for: time enough to make the cover."""

POLL_S = 0.1
"""How often the keeper looks up while nothing plays yet."""

PATIENCE = 3
"""Missed deadlines, or failures, in a row after which the worker is replaced."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """A snapshot for status lines, pages and metrics."""

    fill_samples: int = 0
    shortfall_samples: int = 0
    ticks: int = 0
    deadline_misses: int = 0
    holds: int = 0  # chunks held because not even the fewest passes fit
    replaced_blocks: int = 0  # NaN, Inf, DC, over level, or a failed tick
    cover_blocks: int = 0  # chunks of held music, for whatever reason
    workers_replaced: int = 0
    last_tick_s: float = 0.0
    budget_s: float = 0.0  # the length of a chunk
    real_time_factor: float = 0.0  # mean of the last ticks / budget
    busy: bool = False  # a chunk is being made, with the controls that held when it began
    steps: int = 0  # of the last block
    revision: int = 0  # of the controls that made the last block
    rungs: Rungs = ()  # the window now
    last_error: str = ""


class Runner:
    """A generator, playing into `ring`.

    `ring_s` is how much audio is kept ahead. `on_block` is called by the keeper with every block
    that was written, cover included; its `position_samples` counts from the first. `spare` makes
    another generator of the same bundle, for when this one is stuck. `prompts` embeds what
    listeners ask for, in their threads; None where the bundle takes no prompts.
    """

    def __init__(
        self, generator: Generator, controls: Controls, *, ring_s: float,
        on_block: Callable[[Block], None] | None = None,
        spare: Callable[[], Generator] | None = None, prompts: Prompts | None = None,
    ) -> None:  # fmt: skip
        manifest = generator.bundle.manifest
        self._rate_hz = manifest.audio.sample_rate_hz
        self._chunk_s = generator.chunk_s
        self._ladder = generator.ladder
        self._controls = controls
        self.prompts = prompts
        self._on_block = on_block
        self._spare = spare
        capacity = round(ring_s * self._rate_hz) + 2 * generator.chunk_samples
        self.ring = AudioRing(capacity, manifest.audio.channels)
        self.ready = threading.Event()
        self._scheduler = Scheduler(generator.chunk_s, generator.ladder, ring_s)
        self._costs = Costs()
        self._producer = Producer(generator)
        self._good: deque[tuple[Floats, Plan]] = deque(
            zip(generator.history(), generator.plans(), strict=True), manifest.context.chunks
        )
        self._next_index = 0
        self._first = generator
        self._worker: Worker | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perpetuo-keeper", daemon=True)
        self._counts: dict[str, int] = dict.fromkeys(
            ("ticks", "deadline_misses", "holds", "replaced_blocks", "cover_blocks",
             "workers_replaced", "steps", "revision"), 0
        )  # fmt: skip
        self._tick_s: deque[float] = deque(maxlen=64)
        self._last_error = ""
        self._busy = False
        self._trouble = 0  # missed deadlines or failures in a row
        self._recover = False
        self._anew = False

    def start(self) -> None:
        """Begin to play; `ready` is set when the first block is in the ring."""
        self._worker = Worker(lambda: self._first)
        self._thread.start()

    def stop(self) -> None:
        """End both threads; a worker that is stuck is left behind."""
        self._stopping.set()
        self._thread.join()
        if self._worker is not None:
            self._worker.dismiss(timeout_s=2.0)

    def start_anew(self) -> None:
        """Forget what was played: the next chunk begins from nothing. Any thread may ask."""
        self._anew = True

    def status(self) -> RunnerStatus:
        """How it goes; any thread may ask."""
        ticks = list(self._tick_s)
        generator = self._worker.generator if self._worker else None
        mean_s = sum(ticks) / len(ticks) if ticks else 0.0
        return RunnerStatus(
            fill_samples=self.ring.fill_samples,
            shortfall_samples=self.ring.shortfall_samples,
            last_tick_s=ticks[-1] if ticks else 0.0,
            budget_s=self._chunk_s,
            real_time_factor=mean_s / self._chunk_s,
            rungs=generator.rungs if generator else (),
            busy=self._busy,
            last_error=self._last_error,
            **self._counts,
        )

    # ---- the keeper's thread ----------------------------------------------------------------

    @property
    def _fill_s(self) -> float:
        return self.ring.fill_samples / self._rate_hz

    def _run(self) -> None:
        while not self._stopping.is_set():
            controls = self._controls.snapshot()
            held = controls.value("hold", 0) > 0 and self._producer.can_hold
            match self._decide(controls):
                case Wait(seconds):
                    self._stopping.wait(seconds)
                case Hold():
                    self._counts["holds"] += 1
                    self._cover(controls)
                case Generate() if held:
                    self._cover(controls)
                case Generate(steps):
                    self._generate(controls, steps)

    def _decide(self, controls: ControlSnapshot) -> Generate | Wait | Hold:
        steps = self._ladder.rounded(round(controls.value("steps", self._ladder.steps)))
        if not self.ready.is_set():  # nothing plays yet, so nothing can be late
            return Generate(steps, monotonic())
        return self._scheduler.decide(monotonic(), self._fill_s, steps, self._costs)

    def _generate(self, controls: ControlSnapshot, steps: int) -> None:
        """One job for the worker, from its start to its block in the ring."""
        self._busy = True
        try:
            self._ask(controls, steps)
        finally:
            self._busy = False

    def _ask(self, controls: ControlSnapshot, steps: int) -> None:
        """One job for the worker, covered for as long as it is late."""
        assert self._worker is not None
        anew, self._anew = self._anew, False
        self._worker.ask(Job(controls, steps, self._recover, anew))
        self._recover = False
        if anew:
            self._good.clear()
            if self._producer.can_hold:  # what is made anew is crossfaded into held music
                self._cover(controls)
        while (result := self._worker.result(self._wait_s())) is None:
            if self._stopping.is_set():
                return
            if self.ready.is_set() and self._fill_s <= COVER_S:
                self._counts["deadline_misses"] += 1
                self._cover(controls)
                if self._has_had_enough():
                    return
        self._finish(result, controls)

    def _wait_s(self) -> float:
        """How long the ring lasts, less the time to make a cover."""
        return max(self._fill_s - COVER_S, 0.0) if self.ready.is_set() else POLL_S

    def _finish(self, result: Result, controls: ControlSnapshot) -> None:
        self._counts["ticks"] += 1
        self._tick_s.append(result.tick_s)
        made = result.block
        if made is not None and not result.cold:
            passes_s = made.stage_s["passes"]
            self._costs.record(made.passes, passes_s, result.tick_s - passes_s)
        block = self._producer.accept(made) if made is not None else None
        if made is None or block is None:
            self._replace(controls, result)
            return
        self._trouble = 0
        self._good.append((block.latents, block.plan))
        self._next_index = block.index + 1
        self._counts.update(steps=block.steps, revision=block.control_revision)
        self._write(block)

    def _replace(self, controls: ControlSnapshot, result: Result) -> None:
        """A broken block or a failed tick: cover for it, and have the generator recover."""
        self._last_error = str(result.error or f"broken blocks: {dict(self._producer.faults)}")
        log.warning("a block was replaced: %s", self._last_error)
        self._counts["replaced_blocks"] += 1
        self._recover = True
        if self._producer.can_hold:
            self._cover(controls)
        else:
            self._stopping.wait(POLL_S)
        self._has_had_enough()

    def _has_had_enough(self) -> bool:
        """Count trouble; True if the worker was replaced because of it."""
        assert self._worker is not None
        self._trouble += 1
        loading = self._worker.generator is None
        if self._spare is None or self._trouble < PATIENCE or loading:
            return False
        log.warning("the worker is replaced after %d troubles in a row", self._trouble)
        self._worker.dismiss()
        good, index, spare = list(self._good), self._next_index + 1, self._spare
        self._worker = Worker(lambda: _resumed(spare(), good, index))
        self._counts["workers_replaced"] += 1
        self._trouble = 0
        self._recover = False
        return True

    def _cover(self, controls: ControlSnapshot) -> None:
        self._counts["cover_blocks"] += 1
        self._write(self._producer.hold(controls))

    def _write(self, block: Block) -> None:
        while not self.ring.write(block.audio):
            if self._stopping.wait(POLL_S):
                return
        self.ready.set()
        if self._on_block is not None:
            try:
                self._on_block(block)
            except Exception:  # whoever listens must not stop the music
                log.exception("on_block failed")


def _resumed(generator: Generator, chunks: list[tuple[Floats, Plan]], index: int) -> Generator:
    """The generator, going on behind these chunks."""
    if chunks:
        latents, plans = zip(*chunks, strict=True)
        generator.resume(np.stack(latents), index, plans)
    return generator
