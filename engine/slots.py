"""Rows for several streams in one pass: what each looks back on, and the arrays of a run.

A stream takes a row and keeps it until it leaves; its rings are that row of arrays allocated once.
Rows that lie side by side run at once, and no run touches a row that it is not for: so streams come
and go while others play, on any number of threads, and each plays the same alone and in company. A
chunk of a run looks back on slots of its row's ring and on chunks of its row:

    filled  1 where it sees that slot of the ring
    sees    1 where it sees that chunk of the run, itself among them
    before  which of these comes just before it, slots first: its tail counts if it is seen
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engine.bundle import Bundle
from engine.choices import precision_of
from engine.errors import RoomError, UsageError
from engine.session import Array, Backend, Session
from engine.spec import PromptingSpec
from engine.tensors import StateSpec
from engine.window import Plan

AT_ONCE = 4
"""Finished chunks that one run takes: all twenty at once took 80 MB that are kept for ever."""
RETRY_S = 1.0
"""When to ask again for a row, where all are taken."""


class Slots:
    """`rows` rows on one backend; each is used by one thread at a time."""

    def __init__(self, bundle: Bundle, backend: Backend, frames: int, rows: int = 1) -> None:
        """`frames` in a chunk; UsageError for a graph of one row where there are to be more."""
        manifest = bundle.manifest
        self.spec = manifest.graphs["velocity"]
        if rows > 1 and not isinstance(self.spec.input("latents").shape[0], str):
            raise UsageError("the velocity graph of this bundle takes one stream at a time")
        self.ring = manifest.context.chunks
        self.period = self.spec.position_period or 1
        self.rows = rows
        self.session = backend.session("velocity")
        self.descend = backend.session("descend") if "descend" in manifest.graphs else None
        self.prompting = manifest.prompting
        self.chunk = (frames, manifest.latent.dim)
        self.at_once = min(self.ring, AT_ONCE)
        sizes = {"batch": rows}
        self._states: dict[str, Array] = {
            state.name: np.empty(state.resolve(sizes), state.dtype) for state in self.spec.states
        }
        self._rings = [by_chunk(self._states[one.name], one) for one in self.spec.states]
        self._runs: dict[int, Run] = {}
        self._free = set(range(rows))
        self._lock = threading.RLock()  # a row may be given in the middle of a take

    @property
    def states(self) -> Mapping[str, Array]:
        """All rows of every state, by name; to be read, or written between two runs."""
        return self._states

    def take(self) -> int:
        """The lowest free row; RoomError where all are taken."""
        with self._lock:
            if not self._free:
                raise RoomError(f"all {self.rows} rows are taken", RETRY_S)
            row = min(self._free)
            self._free.discard(row)
        return row

    def give(self, row: int) -> None:
        """A row is free again."""
        with self._lock:
            self._free.add(row)

    def forget(self, row: int) -> None:
        """Back to the initial states, in one row."""
        states = self.states
        for state in self.spec.states:
            states[state.name][row] = state.initial

    def run_of(self, chunks: int) -> Run:
        """The arrays of a run of so many chunks in each row, made once."""
        if chunks not in self._runs:
            self._runs[chunks] = self.new_run(chunks, 0, self.rows)
        return self._runs[chunks]

    def new_run(self, chunks: int, start: int, end: int) -> Run:
        """The arrays of a run of these rows, to be used once."""
        return Run(self, chunks, start, end)

    def keep(self, run: Run | Descent, row: int, slots: Sequence[int]) -> None:
        """What the first chunks of a row left in a run, into these slots of its rings."""
        for ring, left in zip(self._rings, run.left_chunks, strict=True):
            for chunk, slot in enumerate(slots):
                ring[slot, row] = left[chunk, row - run.start]


class Spans(ABC):
    """What runs rows that lie side by side at once, by calls that are bound once."""

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], Callable[[], None]] = {}

    def go(self, rows: Sequence[int]) -> None:
        """Run these rows, side by side ones at once."""
        for span in spans(rows):
            if span not in self._calls:
                self._calls[span] = self._bind(*span)
            self._calls[span]()

    @abstractmethod
    def _bind(self, first: int, last: int) -> Callable[[], None]:
        """A call that runs the rows from `first` up to `last`."""


class Run(Spans):
    """The arrays of runs of `chunks` chunks in rows `start` to `end`, and their bindings."""

    def __init__(self, slots: Slots, chunks: int, start: int, end: int) -> None:
        super().__init__()
        self.chunks, self.start = chunks, start
        self._slots = slots
        shape, (frames, dim) = (end - start, chunks), slots.chunk
        self.latents = np.zeros((*shape, frames, dim), np.float32)
        self.angle = np.zeros(shape, np.float32)
        self.position = np.zeros(shape, np.int64)
        self.filled = np.zeros((*shape, slots.ring), np.float32)
        self.sees = np.zeros((*shape, chunks), np.float32)
        self.before = np.zeros(shape, np.int64)
        self.asked = nothing_asked(slots.prompting, shape, frames)
        self._absent = slots.prompting.vocabulary if slots.prompting else 0
        self.velocity = np.zeros_like(self.latents)
        sizes = {"batch": end - start, "chunks": chunks}
        self.left: dict[str, Array] = {
            state.next_name: np.zeros(state.next_spec.resolve(sizes), state.dtype)
            for state in slots.spec.states
        }
        states = slots.spec.states
        self.left_chunks = [by_chunk(self.left[one.next_name], one) for one in states]
        self._descents: dict[int, Descent] = {}
        self._layouts: dict[int, tuple[int, int]] = {}

    def lay_out(self, row: int, ahead: int, copies: int) -> None:
        """Who sees whom: all see those `ahead`, and of the others those of their copy up to them.

        What comes before the first of each copy, and before those ahead, is to be told anew.
        """
        if self._layouts.get(row) == (ahead, copies):
            return
        self._layouts[row] = (ahead, copies)
        count = (self.chunks - ahead) // copies
        slots = self.filled.shape[-1]
        self.sees[row] = 0.0
        self.sees[row, :, :ahead] = 1.0
        for start in range(ahead, self.chunks, count or 1):
            own = slice(start, start + count)
            self.sees[row, own, own] = np.tri(count, dtype=np.float32)
            self.before[row, own] = slots + start - 1 + np.arange(count)

    def ask(self, row: int, start: int, plans: Sequence[Plan | None]) -> None:
        """What is asked of the chunks from `start` on; None asks nothing."""
        if not self.asked:
            return
        tokens, brief = self.asked["tokens"][row], self.asked["brief"][row]
        for chunk, plan in enumerate(plans, start):
            tokens[chunk] = self._absent if plan is None else plan.tokens
            brief[chunk] = 0.0 if plan is None else plan.brief

    @property
    def entering(self) -> dict[str, Array]:
        """What goes into the graph beside the states, by name."""
        return {
            "latents": self.latents, "angle": self.angle, "position": self.position,
            "filled": self.filled, "sees": self.sees, "before": self.before, **self.asked,
        }  # fmt: skip

    def descent(self, passes: int) -> Descent | None:
        """So many passes in one run, made once; None for one, or without a graph for that."""
        if self._slots.descend is None or passes < 2:
            return None
        if passes not in self._descents:
            self._descents[passes] = Descent(self, self._slots.descend, passes)
        return self._descents[passes]

    def fed(self, first: int, last: int) -> dict[str, Array]:
        """What these rows feed the graph, by name."""
        own = slice(first - self.start, last - self.start)
        feeds = {name: array[own] for name, array in self.entering.items()}
        return feeds | {name: array[first:last] for name, array in self._slots.states.items()}

    def _bind(self, first: int, last: int) -> Callable[[], None]:
        own, feeds = slice(first - self.start, last - self.start), self.fed(first, last)
        leaving = {"velocity": self.velocity, **self.left}
        out = {name: array[own] for name, array in leaving.items()}
        return self._slots.session.bind(feeds, out)


class Descent(Spans):
    """Several passes of a run in one: angles in, latents out, of a finished chunk and those in
    flight behind it.
    """

    def __init__(self, run: Run, session: Session, passes: int) -> None:
        super().__init__()
        rows, chunks = run.latents.shape[:2]
        self.start, self.left_chunks = run.start, run.left_chunks
        self.angles = np.zeros((rows, passes + 1, chunks), np.float32)
        self.latents = np.zeros_like(run.latents)
        self._run, self._session = run, session

    def _bind(self, first: int, last: int) -> Callable[[], None]:
        own, feeds = slice(first - self.start, last - self.start), self._run.fed(first, last)
        del feeds["angle"]
        leaving = {"descended": self.latents, **self._run.left}
        out = {name: array[own] for name, array in leaving.items()}
        return self._session.bind(feeds | {"angles": self.angles[own]}, out)


def by_chunk(array: Array, state: StateSpec) -> Array:
    """A state, or what chunks left of it, with the axis of slots or chunks in front of the rows."""
    assert state.ring_axis is not None
    return np.moveaxis(array, state.ring_axis, 0)


def spans(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Rows in stretches [first, behind the last) that lie side by side."""
    if len(rows) == 1:
        return [(rows[0], rows[0] + 1)]
    found: list[tuple[int, int]] = []
    for row in sorted(rows):
        if found and found[-1][1] == row:
            found[-1] = found[-1][0], row + 1
        else:
            found.append((row, row + 1))
    return found


def nothing_asked(
    prompting: PromptingSpec | None, shape: tuple[int, ...], frames: int
) -> dict[str, Array]:
    """The conditions of chunks of which nothing is asked: absent tokens and empty briefs."""
    if prompting is None:
        return {}
    count = frames // prompting.token_frames
    return {
        "tokens": np.full((*shape, count), prompting.vocabulary, np.int64),
        "brief": np.zeros((*shape, prompting.brief_size), np.float32),
    }


def shared_slots(bundle: Bundle, backend: Backend, rows: int) -> Slots | None:
    """Slots for so many streams; None where each takes passes of its own.

    That is so for one row, without rings, and where int8 products round all rows by one range.
    """
    alone = precision_of(backend.name) == "int8" or bundle.manifest.context.kind != "cached"
    return (
        None if alone or rows < 2 else Slots(bundle, backend, bundle.manifest.chunk_frames[0], rows)
    )
