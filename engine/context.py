"""The two ways the velocity network looks back, behind one door.

`WindowContext` runs the whole window in every pass, as published. `CachedContext` runs only the
chunks in flight; what finished chunks leave behind is computed once, at the context angle, and
kept in rings whose slot is chunk index modulo context.

Passes are given up to whoever runs them (`engine.lockstep`), so that several streams share a run.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np

from engine.angles import Table, step
from engine.bundle import Bundle
from engine.later import Later
from engine.lockstep import Ticking
from engine.session import Array, Backend, Floats
from engine.slots import Descent, Run, Slots
from engine.told import Place, Told, guided
from engine.waiting import Waiting
from engine.window import Chunk, Plan, Window


class Context(Protocol):
    """What the generator asks of a context."""

    fills: bool
    """True if the network runs on a full window only, so that it is filled at once."""

    keep: int
    """Finished chunks that are looked back on, at most."""

    row: int
    """Its own, in what it shares with others."""

    def reset(self) -> None:
        """Forget every finished chunk."""
        ...

    def descend(self, window: Window, table: Table, passes: int) -> Ticking[None]:
        """Take so many passes: every chunk in flight goes down as many rungs of this table."""
        ...

    def commit(self, latents: Floats, first_index: int, plans: Sequence[Plan] = ()) -> None:
        """Finished chunks float32[n, frames, dim] in a row, to be looked back on from now on.

        `plans` are theirs, one each; a network without conditions needs none.
        """
        ...

    def rest(self) -> None:
        """There is time before the next tick."""
        ...


class WindowContext:
    """The whole window, finished and in flight, in every pass."""

    fills = True

    def __init__(self, bundle: Bundle, backend: Backend, frames: int) -> None:
        manifest = bundle.manifest
        chunks = manifest.context.chunks
        self.keep = chunks - 1
        shape = (chunks, frames, manifest.latent.dim)
        self._latents = np.zeros(shape, np.float32)
        self._velocity = np.zeros(shape, np.float32)
        self._angle = np.zeros((chunks, frames), np.float32)
        whole = (1, chunks * frames, manifest.latent.dim)
        feeds = {"latents": self._latents.reshape(whole), "angle": self._angle.reshape(1, -1)}
        out = {"velocity": self._velocity.reshape(whole)}
        self._bound = backend.session("velocity").bind(feeds, out)
        self.row = 0

    def go(self, rows: Sequence[int]) -> None:
        """Run the window; it shares no run with others."""
        self._bound()

    def reset(self) -> None:
        """Nothing is kept outside the window."""

    def descend(self, window: Window, table: Table, passes: int) -> Ticking[None]:
        """Every chunk in flight goes down as many rungs of this table."""
        rows = [row for row, chunk in enumerate(window.chunks) if chunk.rung]
        for _ in range(passes):
            for row, chunk in enumerate(window.chunks):
                self._latents[row], self._angle[row] = chunk.latents, chunk.angle
            yield self, self.row
            window.advance(self._velocity[rows], table)

    def commit(self, latents: Floats, first_index: int, plans: Sequence[Plan] = ()) -> None:
        """Finished chunks are in the window already."""

    def rest(self) -> None:
        """Nothing was put off."""


class CachedContext:
    """The chunks in flight, and rings of what `context.chunks` finished chunks left behind.

    A finished chunk waits for the next pass and runs in it, in front of those in flight: they look
    back on it there, and what it leaves is kept. Where guidance is wanted, every chunk in flight
    is there twice: as it was asked, and with nothing asked.
    """

    fills = False

    def __init__(
        self, bundle: Bundle, backend: Backend, frames: int, slots: Slots | None = None
    ) -> None:
        """`slots` are those shared with other streams; else it has one of its own."""
        context = bundle.manifest.context
        self.keep = context.chunks
        self._angle = context.angle
        self._slots = slots or Slots(bundle, backend, frames)
        self.row = self._slots.take()
        weakref.finalize(self, self._slots.give, self.row)
        self._filled = np.zeros(self.keep, np.float32)
        self._waiting = Waiting(self._slots)
        self._told: Told | None = None
        self._places: dict[tuple[int, int, int], Place] = {}
        self._later = Later()
        self.reset()

    def arrays(self) -> dict[str, Array]:
        """All that is kept between passes, by name; to be read, or written between two ticks."""
        self._told = None
        self._later.settle()
        own = {name: state[self.row] for name, state in self._slots.states.items()}
        return own | {"filled": self._filled} | self._waiting.arrays

    def reset(self) -> None:
        """Forget every finished chunk."""
        self._later.settle()
        self._slots.forget(self.row)
        self._filled.fill(0.0)
        self._waiting.clear()
        self._told = None

    def descend(self, window: Window, table: Table, passes: int) -> Ticking[None]:
        """Every chunk in flight goes down as many rungs of this table."""
        flying = window.flying
        ahead = window.ahead(flying, table, passes)
        told = self._tell(window, flying)
        if (descent := told.descent(passes)) is not None:
            row = self.row - descent.start
            told.place.enter(flying)
            descent.angles[row, :, 0], descent.angles[row, :, 1:] = self._angle, ahead
            yield descent, self.row
            self._keep_waiting(descent)
            for chunk, latents in zip(flying, descent.latents[row, 1:], strict=True):
                chunk.latents[...] = latents
        else:
            for angles, targets in pairwise(ahead):
                told = self._tell(window, flying)
                told.place.enter(flying)
                told.place.angle[:] = angles
                yield told.place.run, self.row
                self._keep_waiting(told.place.run)
                for chunk, velocity, omega in zip(
                    flying, told.guided(), (angles - targets).tolist(), strict=True
                ):
                    step(chunk.latents, velocity, omega)
        window.descended(flying, ahead)

    def commit(self, latents: Floats, first_index: int, plans: Sequence[Plan] = ()) -> None:
        """Finished chunks float32[n, frames, dim] in a row; a single one waits for a pass.

        It is copied when there is time: until then it stays as it is.
        """
        for start in range(0, latents.shape[0], self._slots.at_once):
            part = slice(start, start + self._slots.at_once)
            self._commit(latents[part], first_index + start, list(plans[part]))

    def rest(self) -> None:
        """There is time to keep what the last run left, and to note what waits."""
        self._later.settle()

    def _commit(self, latents: Floats, first_index: int, plans: list[Plan]) -> None:
        if self._waiting.count:
            self._later.settle()
            run = self._slots.run_of(1)
            self._write(run, 0, [], 1)
            run.go([self.row])
            self._keep_waiting(run)
        self._told = None
        if len(latents) == 1:
            self._waiting.begin(first_index)
            self._later.put_off(partial(self._waiting.note, latents[0], plans))
            return
        self._later.settle()
        run = self._slots.new_run(len(latents), self.row, self.row + 1)
        run.latents[0], run.angle[0] = latents, self._angle
        self._write(run, first_index, plans, 1)
        run.go([self.row])
        self._keep(run, [(first_index + k) % self.keep for k in range(len(latents))])

    def _keep_waiting(self, run: Run | Descent) -> None:
        if self._waiting.count:
            self._keep(run, [self._waiting.index % self.keep])
            self._waiting.clear()

    def _keep(self, run: Run | Descent, slots: list[int]) -> None:
        """Put off where no other stream runs in the meantime: what is left stays where it is."""
        self._later.put_off(partial(self._slots.keep, run, self.row, slots))
        if self._slots.rows > 1:
            self._later.settle()
        for slot in slots:
            self._filled[slot] = 1.0
        self._told = None

    def _tell(self, window: Window, flying: Sequence[Chunk]) -> Told:
        """The run of the next pass, told everything but latents and angles.

        That stays as it is while the same chunks are in flight, and none has begun to wait.
        """
        self._later.settle()
        told = self._told
        if told is not None and told.window is window and told.changes == window.changes:
            return told
        assert flying[0] is window.chunks[-len(flying)], "chunks in flight stand at the end"
        plans = [chunk.plan for chunk in flying]
        ahead, copies = self._waiting.count, 2 if guided(plans) else 1
        run = self._slots.run_of(ahead + copies * len(plans))
        self._write(run, flying[0].index, plans, copies)
        key = run.chunks, ahead, copies
        if key not in self._places:
            self._places[key] = Place(run, self.row, ahead, copies)
        guidance = [plan.guidance for plan in plans] if copies > 1 else []
        self._told = Told(window, window.changes, self._places[key], guidance)
        return self._told

    def _write(self, run: Run, index: int, plans: list[Plan], copies: int) -> None:
        """Where the chunks of a run stand, what each looks back on, and what it was asked.

        The chunk that waits is in front; `plans` are those of the others, which follow in
        `copies`: the second has nothing asked. The oldest of them has this index.
        """
        waiting, row = self._waiting, self.row - run.start
        ahead = waiting.count
        count = (run.chunks - ahead) // copies
        run.lay_out(row, ahead, copies)
        run.filled[row] = self._filled
        for start in range(ahead, run.chunks, count or 1):
            for k in range(count):
                run.position[row, start + k] = (index + k) % self._slots.period
            run.before[row, start] = self.keep if ahead else (index - 1) % self.keep
            run.ask(row, start, plans if start == ahead else [None] * count)
        if ahead:
            run.latents[row, 0], run.angle[row, 0] = waiting.latents, self._angle
            run.position[row, 0] = waiting.index % self._slots.period
            run.filled[row, 1:, waiting.index % self.keep] = 0.0  # its place in the ring
            run.before[row, 0] = (waiting.index - 1) % self.keep
            run.ask(row, 0, [waiting.plan])


def open_context(
    bundle: Bundle, backend: Backend, frames: int, depth: int, slots: Slots | None = None
) -> Context:
    """The context that the bundle was trained for; a backend on a device may bring its own.

    `slots` are shared with other streams.
    """
    own = getattr(backend, "context", lambda frames, depth: None)(frames, depth)
    if own is not None:
        return own  # type: ignore[no-any-return]
    if bundle.manifest.context.kind == "window":
        return WindowContext(bundle, backend, frames)
    return CachedContext(bundle, backend, frames, slots)
