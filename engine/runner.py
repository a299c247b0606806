"""Keeps an audio ring filled in real time, whatever the generator does.

Two threads. The *worker* owns the generator and does one tick at a time. The *keeper* owns the
writing end of the ring: it asks the scheduler, hands the worker a job as late as is safe, and waits
for the block no longer than the ring lasts. A block that is late, broken or failed is covered for
by the present music; a late one is still played, after the cover. After three missed deadlines in a
row, or three failures, the worker is replaced by a new one from `spare`, which goes on behind the
last good chunks; the old one is left to end by itself.

The process should call `sys.setswitchinterval(0.0005)` where it starts: with Python's default of
5 ms a busy thread delays an audio callback beside it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

import numpy as np

from engine.controls import Controls, ControlSnapshot
from engine.generator import Block, Generator
from engine.playout import WatchedRing
from engine.producer import Producer
from engine.prompts import Prompts
from engine.scheduler import MARGIN_S, Costs, Generate, Hold, Scheduler, Wait
from engine.session import Floats
from engine.status import RunnerStatus
from engine.tidy import Tidy
from engine.window import Plan
from engine.worker import Job, Result, Worker

COVER_S = 0.015
"""How long before its time a late block is covered for."""

PREPARE_S = 0.015
"""How long before that the cover is prepared: time enough for it, at 24 kHz and one channel."""

POLL_S = 0.1
"""How often the keeper looks up while it waits for a block."""

LOOK_S = 0.05
"""How often it looks up while it is too early: a control may ask for a longer tick."""

TURN_S = 0.02
"""Held music before music that goes on from elsewhere, for that to be crossfaded into."""

PATIENCE = 3
"""Missed deadlines, or failures, in a row after which the worker is replaced."""

Errand = Callable[[Generator], bool]
"""Done between two ticks; True where the music goes on from elsewhere."""

log = logging.getLogger(__name__)


class Runner:
    """A generator, playing into `ring`.

    `ring_s` is how much audio is kept ahead at most, and until it is known what a chunk takes;
    `margin_s` is how much earlier than that a chunk is begun at least. `on_block` is called by the
    keeper with every block that was written, cover included; its `position_samples` counts from the
    first. `spare` makes another generator of the same bundle, for when this one is stuck. `prompts`
    embeds what listeners ask for, in their threads; None where the bundle takes no prompts.
    `hire` gives a worker; streams that share a machine share a crew (`engine.crew`).
    """

    def __init__(
        self, generator: Generator, controls: Controls, *, ring_s: float,
        on_block: Callable[[Block], None] | None = None,
        spare: Callable[[], Generator] | None = None, prompts: Prompts | None = None,
        margin_s: float = MARGIN_S, hire: Callable[[Callable[[], Generator]], Worker] = Worker,
    ) -> None:  # fmt: skip
        manifest = generator.bundle.manifest
        self._rate_hz = manifest.audio.sample_rate_hz
        self._chunk_s = generator.chunk_s
        self._ladder = generator.ladder
        self._controls = controls
        self.prompts = prompts
        self._on_block = on_block
        self._spare = spare
        self._hire = hire
        capacity = round(ring_s * self._rate_hz) + 2 * generator.chunk_samples
        self.ring = WatchedRing(capacity, manifest.audio.channels, self._rate_hz, monotonic)
        self.ready = threading.Event()
        self._scheduler = Scheduler(generator.chunk_s, generator.ladder, ring_s, margin_s)
        self._costs = Costs()
        self._tidy = Tidy()
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
        self._spare_s: deque[float] = deque(maxlen=64)
        self._lead_s = ring_s + COVER_S
        self._last_error = ""
        self._busy = False
        self._begins_s = 0.0
        self._trouble = 0  # missed deadlines or failures in a row
        self._recover = False
        self._anew = False
        self._errands: queue.SimpleQueue[Errand] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin to play; `ready` is set when the first block is in the ring."""
        self._worker = self._hire(lambda: self._first)
        self._thread.start()

    def stop(self) -> None:
        """End both threads; a worker that is stuck is left behind."""
        self._stopping.set()
        self._thread.join()
        self._tidy.end()
        if self._worker is not None:
            self._worker.dismiss(timeout_s=2.0)

    def start_anew(self) -> None:
        """Forget what was played: the next chunk begins from nothing. Any thread may ask."""
        self._anew = True

    def between_ticks(self, errand: Errand) -> None:
        """Have this done with the generator by the keeper, soon. Any thread may ask.

        What it raises is logged, and the music goes on.
        """
        self._errands.put(errand)

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
            lead_s=self._lead_s,
            margin_s=self._scheduler.margin.seconds,
            spare_s=min(list(self._spare_s), default=0.0),
            rungs=generator.rungs if generator else (),
            begins_s=self._begins_s,
            busy=self._busy,
            last_error=self._last_error,
            **self._counts,
        )

    # ---- the keeper's thread ----------------------------------------------------------------

    @property
    def _fill_s(self) -> float:
        return self.ring.fill_samples / self._rate_hz

    @property
    def _left_s(self) -> float:
        """Until the next block is covered for."""
        return self.ring.left_s() - COVER_S

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._run_errands()
            controls = self._controls.snapshot()
            held = controls.value("hold", 0) > 0 and self._producer.can_hold
            match self._decide(controls):
                case Wait(seconds):
                    self._rest(seconds)
                case Hold():
                    self._counts["holds"] += 1
                    self._cover(controls)
                case Generate() if held:
                    self._cover(controls)
                case Generate(steps):
                    self._generate(controls, steps)

    def _run_errands(self) -> None:
        generator = self._worker.generator if self._worker else None
        while generator is not None and not self._errands.empty():
            try:
                if self._errands.get()(generator):
                    self._turn(generator)
            except Exception:
                log.exception("what was to be done between two ticks failed")

    def _turn(self, generator: Generator) -> None:
        """What the generator makes next goes on from elsewhere: crossfade it into held music."""
        self._good.clear()
        self._good.extend(zip(generator.history(), generator.plans(), strict=True))
        self._recover = False
        if self._producer.can_hold:
            held_samples = round(TURN_S * self._rate_hz)
            self._write(self._producer.hold(self._controls.snapshot(), held_samples))

    def _decide(self, controls: ControlSnapshot) -> Generate | Wait | Hold:
        steps = self._ladder.rounded(round(controls.value("steps", self._ladder.steps)))
        if not self.ready.is_set():  # nothing plays yet, so nothing can be late
            return Generate(steps, monotonic())
        asked = (steps, self._costs, _rows(controls))
        self._lead_s = self._scheduler.lead_s(*asked) + COVER_S
        return self._scheduler.decide(monotonic(), self._fill_s, self._left_s, *asked)

    def _rest(self, seconds: float) -> None:
        """Nothing to do for so long, unless a control changes that."""
        self._begins_s = monotonic() + seconds
        until_s = monotonic() + min(seconds, LOOK_S)
        self._tidy.rest(seconds)
        self._stopping.wait(max(until_s - monotonic(), 0.0))

    def _generate(self, controls: ControlSnapshot, steps: int) -> None:
        """One job for the worker, from its start to its block in the ring."""
        self._busy, self._begins_s = True, 0.0
        try:
            self._ask(controls, steps)
        finally:
            self._busy = False

    def _ask(self, controls: ControlSnapshot, steps: int) -> None:
        """One job for the worker, covered for as long as it is late."""
        assert self._worker is not None
        anew, self._anew = self._anew, False
        usual = not (anew or self._recover)
        began_s, missed_s = monotonic(), 0.0
        self._worker.ask(Job(controls, steps, self._recover, anew))
        self._recover = False
        if anew:
            self._good.clear()
            if self._producer.can_hold:  # what is made anew is crossfaded into held music
                self._cover(controls)
        while (result := self._worker.result(self._wait_s())) is None:
            if self._stopping.is_set():
                return
            if self.ready.is_set() and self._left_s <= 0:
                missed_s += self._chunk_s
                self._miss(controls)
                if self._has_had_enough():
                    return
            elif self.ready.is_set() and self._left_s <= PREPARE_S:
                self._producer.prepare()
        if usual and not result.cold:
            self._learn(result.block, monotonic() - began_s, _rows(controls))
            self._note_spare(self._left_s - missed_s)
        self._finish(result, controls)

    def _wait_s(self) -> float:
        """How long a block is waited for: until it has to be covered for, or for a look around."""
        if not self.ready.is_set():
            return POLL_S
        left_s = self._left_s
        return min(max(left_s - PREPARE_S if left_s > PREPARE_S else left_s, 0.0), POLL_S)

    def _miss(self, controls: ControlSnapshot) -> None:
        self._counts["deadline_misses"] += 1
        self._spare_s.append(0.0)
        self._cover(controls)

    def _learn(self, made: Block | None, took_s: float, rows: int) -> None:
        """From a tick as any other: what it took, from the keeper's asking to its knowing."""
        if made is not None:
            passes_s = made.stage_s["passes"]
            self._costs.record(made.passes, passes_s, took_s - passes_s, rows)

    def _note_spare(self, spare_s: float) -> None:
        """How close it was, once a sink takes what is made; negative where it was missed."""
        if self.ring.playout.started:
            self._spare_s.append(spare_s)
            self._scheduler.margin.note(spare_s)

    def _finish(self, result: Result, controls: ControlSnapshot) -> None:
        self._counts["ticks"] += 1
        self._tick_s.append(result.tick_s)
        made = result.block
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
        loading = self._worker.generator is None or self._worker.queued
        if self._spare is None or self._trouble < PATIENCE or loading:
            return False
        log.warning("the worker is replaced after %d troubles in a row", self._trouble)
        self._worker.dismiss()
        good, index, spare = list(self._good), self._next_index + 1, self._spare
        self._worker = self._hire(lambda: _resumed(spare(), good, index))
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
        self._tidy.begin()
        if self._on_block is not None:
            try:
                self._on_block(block)
            except Exception:  # whoever listens must not stop the music
                log.exception("on_block failed")


def _rows(controls: ControlSnapshot) -> int:
    """Rows in a pass: what was asked and, with guidance, nothing asked."""
    return 1 if controls.value("guidance", 1.0) == 1.0 else 2


def _resumed(generator: Generator, chunks: list[tuple[Floats, Plan]], index: int) -> Generator:
    """The generator, going on behind these chunks."""
    if chunks:
        latents, plans = zip(*chunks, strict=True)
        generator.resume(np.stack(latents), index, plans)
    return generator
