"""Measured ticks played through the engine's own scheduler, in virtual time.

What a ring of another size would have made of the same ticks is asked of the scheduler that plays,
not of a formula: how late chunks are begun, what is then left to spare, and what would be missed.
A sink takes audio evenly. A tick with fewer steps costs its part of the passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.timing import Tail
from engine.runner import COVER_S
from engine.scheduler import MARGIN_S, Costs, Generate, Scheduler, Wait
from engine.spec import LadderSpec


@dataclass(frozen=True)
class Cost:
    """What one tick with all its passes took: in them, and in the rest."""

    passes_s: float
    rest_s: float


@dataclass(frozen=True)
class RingRun:
    """What the engine would have made of the ticks with a ring of `ring_s`.

    Misses are counted in all of them, the rest in the second half, when the engine knows them.
    """

    ring_s: float
    underruns: int  # blocks that were not there in time: covered for with held music
    holds: int
    fewer_steps: int  # blocks made with fewer steps than asked for
    spare_s: Tail  # what was left when a block was there
    least_spare_s: float
    lead_s: Tail  # how long before it was due a block was begun
    control_to_sound_s: float  # at most: a control set when a chunk has just begun


@dataclass
class _Stream:
    """One stream in virtual time."""

    scheduler: Scheduler
    chunk_s: float
    fill_s: float
    costs: Costs = field(default_factory=Costs)
    now_s: float = 0.0
    begun_s: list[float] = field(default_factory=list)
    leads_s: list[float] = field(default_factory=list)
    spares_s: list[float] = field(default_factory=list)
    underruns: int = 0
    holds: int = 0
    fewer: int = 0

    def play(self, costs: Sequence[Cost], steps: int) -> None:
        """All ticks, one after the other."""
        for cost in costs:
            made = self._begin(steps)
            self.fewer += made < steps
            self._tick(cost, made, steps)

    @property
    def _left_s(self) -> float:
        return self.fill_s - COVER_S

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds
        self.fill_s = max(0.0, self.fill_s - seconds)

    def _begin(self, steps: int) -> int:
        """Wait, or hold, until a chunk is begun; with how many steps."""
        while True:
            action = self.scheduler.decide(self.now_s, self.fill_s, self._left_s, steps, self.costs)
            if isinstance(action, Generate):
                return action.steps
            if isinstance(action, Wait):
                self._pass(action.seconds + 1e-9)
            else:
                self.holds += 1
                self.fill_s += self.chunk_s

    def _tick(self, cost: Cost, made: int, steps: int) -> None:
        passes_s = cost.passes_s * made / steps
        left_s = took_s = passes_s + cost.rest_s
        self.begun_s.append(self.now_s)
        self.leads_s.append(self._left_s + COVER_S)
        missed_s = 0.0
        while left_s > self._left_s:  # covered for, as often as it takes
            self.underruns += 1
            missed_s += self.chunk_s
            left_s -= max(0.0, self._left_s)
            self._pass(max(0.0, self._left_s))
            self.fill_s += self.chunk_s
        self._pass(left_s)
        self.spares_s.append(self._left_s - missed_s)
        self.scheduler.margin.note(self._left_s - missed_s)
        depth = self.scheduler.ladder.depth
        self.costs.record(made // depth, passes_s, took_s - passes_s)
        self.fill_s += self.chunk_s


def play_ring(
    costs: Sequence[Cost], chunk_s: float, ladder: LadderSpec, ring_s: float,
    margin_s: float = MARGIN_S,
) -> RingRun:  # fmt: skip
    """The ticks through the scheduler, with at most `ring_s` ahead; one block is there at first."""
    stream = _Stream(Scheduler(chunk_s, ladder, ring_s, margin_s), chunk_s, chunk_s)
    stream.play(costs, ladder.steps)
    settled = len(costs) // 2
    waits_s = [
        later - before + lead
        for before, later, lead in zip(
            stream.begun_s[settled:], stream.begun_s[settled + 1 :],
            stream.leads_s[settled + 1 :], strict=False,
        )
    ]  # fmt: skip
    return RingRun(
        ring_s, stream.underruns, stream.holds, stream.fewer, Tail.of(stream.spares_s[settled:]),
        min(stream.spares_s[settled:], default=float("nan")), Tail.of(stream.leads_s[settled:]),
        max(waits_s, default=float("nan")),
    )  # fmt: skip
