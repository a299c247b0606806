"""The engine's tick under the stopwatch: a generator run as fast as it goes, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from engine.controls import Controls
from engine.generator import Generator
from engine.session import Array, Backend, Session
from engine.tidy import Tidy

CONTROL_EVERY_TICKS = 5


class GraphClock:
    """A backend whose graphs are timed: `seconds` is the time spent inside them so far."""

    def __init__(self, backend: Backend) -> None:
        """Everything is passed on to `backend`."""
        self.backend = backend
        self.name = backend.name
        self.seconds = 0.0

    def providers(self) -> list[str]:
        """Those of the backend."""
        return self.backend.providers()

    def session(self, graph: str) -> Session:
        """The backend's session, timed."""
        return _TimedSession(self.backend.session(graph), self)


class _TimedSession:
    def __init__(self, session: Session, clock: GraphClock) -> None:
        self._session = session
        self._clock = clock

    def run(
        self, feeds: Mapping[str, Array], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        began_s = perf_counter()
        try:
            return self._session.run(feeds, out)
        finally:
            self._clock.seconds += perf_counter() - began_s

    def bind(self, feeds: Mapping[str, Array], out: Mapping[str, Array]) -> Callable[[], None]:
        bound, clock = self._session.bind(feeds, out), self._clock

        def timed() -> None:
            began_s = perf_counter()
            bound()
            clock.seconds += perf_counter() - began_s

        return timed


@dataclass
class Ticks:
    """What every tick of one stream took. `costs_s[0]` is the cold first chunk, priming apart."""

    chunk_s: float
    prime_s: float = 0.0
    rests_s: float = 0.0  # of work between the ticks
    costs_s: list[float] = field(default_factory=list)
    graphs_s: list[float] = field(default_factory=list)
    stages_s: dict[str, list[float]] = field(default_factory=dict)
    control_delay_ticks: list[int] = field(default_factory=list)

    @property
    def first_audio_s(self) -> float:
        """From a generator to its first block, the prompt's share included."""
        return self.prime_s + self.costs_s[0]

    @property
    def real_time_factor(self) -> float:
        """Seconds of work a second of music, priming and the cold first chunk included."""
        work_s = self.prime_s + sum(self.costs_s) + self.rests_s
        return work_s / (len(self.costs_s) * self.chunk_s)

    @property
    def overhead_share(self) -> float:
        """Share of the ticks after the first that was spent outside the graphs."""
        total = sum(self.costs_s[1:])
        return 1.0 - sum(self.graphs_s[1:]) / total if total else float("nan")


def run_ticks(
    generator: Generator,
    clock: GraphClock,
    controls: Controls,
    seconds: float,
    progress: Callable[[float], object] | None = None,
) -> Ticks:
    """Generate `seconds` of music from nothing, at least two blocks.

    Every few ticks an idea is set anew (to the value it has: the revision changes, the music does
    not), and the ticks until its revision comes out are counted; 1 is the next block. Garbage is
    collected between the ticks, as it is while music plays.
    """
    ticks = Ticks(generator.chunk_s)
    idea = next((spec for spec in controls.specs.values() if spec.kind == "idea"), None)
    began_s = perf_counter()
    generator.prime(None)
    ticks.prime_s = perf_counter() - began_s
    waiting: tuple[int, int] | None = None
    tidy = Tidy()
    tidy.begin()
    for index in range(max(2, int(np.ceil(seconds / generator.chunk_s)))):
        if idea and waiting is None and index % CONTROL_EVERY_TICKS == 0:
            waiting = (controls.set(idea.name, controls.snapshot().values[idea.name]), index)
        revision = _tick(generator, clock, controls, ticks)
        began_s = perf_counter()
        generator.rest()
        ticks.rests_s += perf_counter() - began_s
        tidy.rest(generator.chunk_s - ticks.costs_s[-1])
        if waiting is not None and revision >= waiting[0]:
            ticks.control_delay_ticks.append(index - waiting[1] + 1)
            waiting = None
        if progress is not None:
            progress(generator.chunk_s)
    tidy.end()
    return ticks


def _tick(generator: Generator, clock: GraphClock, controls: Controls, ticks: Ticks) -> int:
    inside_s = clock.seconds
    began_s = perf_counter()
    block = generator.tick(controls.snapshot())
    ticks.costs_s.append(perf_counter() - began_s)
    ticks.graphs_s.append(clock.seconds - inside_s)
    for stage, seconds in block.stage_s.items():
        ticks.stages_s.setdefault(stage, []).append(seconds)
    return block.control_revision
