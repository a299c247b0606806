"""Which graph ran when, on what, and for how long: a backend that writes it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from engine.controls import ControlSnapshot
from engine.generator import Generator
from engine.session import Array, Backend, Session

STAGES = ("plan", "passes", "decode", "commit")
"""Those of a tick that run graphs, in the order in which they end."""

Shapes = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclass(frozen=True)
class Call:
    """One run of a graph: which, on what, when and for how long."""

    graph: str
    shapes: Shapes
    began_s: float
    seconds: float


class Witness:
    """A backend that writes down every run of a graph."""

    def __init__(self, backend: Backend) -> None:
        """Everything is passed on to `backend`."""
        self._backend = backend
        self.name = backend.name
        self.calls: list[Call] = []

    def providers(self) -> list[str]:
        """Those of the backend."""
        return self._backend.providers()

    def session(self, graph: str) -> Session:
        """The backend's session, watched."""
        return _Watched(self, graph, self._backend.session(graph))


@dataclass(frozen=True)
class _Watched:
    witness: Witness
    graph: str
    session: Session

    def run(
        self, feeds: Mapping[str, Array], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        began_s = perf_counter()
        made = self.session.run(feeds, out)
        self._note(shapes_of(feeds), began_s)
        return made

    def bind(self, feeds: Mapping[str, Array], out: Mapping[str, Array]) -> Callable[[], None]:
        bound, shapes = self.session.bind(feeds, out), shapes_of(feeds)

        def watched() -> None:
            began_s = perf_counter()
            bound()
            self._note(shapes, began_s)

        return watched

    def _note(self, shapes: Shapes, began_s: float) -> None:
        self.witness.calls.append(Call(self.graph, shapes, began_s, perf_counter() - began_s))


def shapes_of(feeds: Mapping[str, Array]) -> Shapes:
    """Names, sizes and types of what enters a graph, in order of the names."""
    return tuple((name, array.shape, str(array.dtype)) for name, array in sorted(feeds.items()))


def stage_of(call: Call, began_s: float, stage_s: Mapping[str, float]) -> str:
    """Which stage of a tick that began at `began_s` a run belongs to, by when it started."""
    if call.graph not in ("velocity", "descend", "decoder"):
        return "plan"
    ends = np.cumsum([stage_s["plan"] + stage_s["passes"], stage_s["decode"]])
    return STAGES[1 + int(np.searchsorted(ends, call.began_s - began_s))]


Tick = tuple[dict[str, list[Call]], dict[str, float]]
"""Runs and seconds of every stage."""


def watched_tick(generator: Generator, witness: Witness, controls: ControlSnapshot) -> Tick:
    """One tick of a generator on that backend."""
    witness.calls.clear()
    began_s = perf_counter()
    stage_s = generator.tick(controls).stage_s
    runs: dict[str, list[Call]] = {name: [] for name in STAGES}
    for call in witness.calls:
        runs[stage_of(call, began_s, stage_s)].append(call)
    return runs, {name: stage_s.get(name, 0.0) for name in STAGES}
