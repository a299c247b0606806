"""The two ways the velocity network looks back, behind one door.

`WindowContext` runs the whole window in every pass, as published. `CachedContext` runs only the
chunks in flight; what finished chunks leave behind is computed once, at the context angle, and
kept in rings whose slot is chunk index modulo context. A *pass* throws the next states away, a
*commit* keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from engine.bundle import Bundle
from engine.errors import UsageError
from engine.session import Array, Backend, Floats
from engine.spec import StateSpec
from engine.window import Window


class Context(Protocol):
    """What the generator asks of a context."""

    fills: bool
    """True if the network runs on a full window only, so that it is filled at once."""

    keep: int
    """Finished chunks that are looked back on, at most."""

    def reset(self) -> None:
        """Forget every finished chunk."""
        ...

    def velocity(self, window: Window) -> Floats:
        """float32[n, frames, dim] of the n chunks in flight, oldest first; for one use."""
        ...

    def commit(self, latents: Floats, first_index: int) -> None:
        """Finished chunks float32[n, frames, dim] in a row, to be looked back on from now on."""
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

    def reset(self) -> None:
        """Nothing is kept outside the window."""

    def velocity(self, window: Window) -> Floats:
        """float32[n, frames, dim] of the n chunks in flight, oldest first."""
        self._latents[...] = window.latents
        self._angle[...] = window.angles[:, None]
        self._bound()
        return self._velocity[window.flying]

    def commit(self, latents: Floats, first_index: int) -> None:
        """Finished chunks are in the window already."""


class CachedContext:
    """The chunks in flight, and rings of what `context.chunks` finished chunks left behind."""

    fills = False

    def __init__(self, bundle: Bundle, backend: Backend, frames: int, depth: int) -> None:
        manifest = bundle.manifest
        graph = manifest.graphs["velocity"]
        self.keep = manifest.context.chunks
        self._session = backend.session("velocity")
        self._specs = graph.states
        self._period = graph.position_period or 1
        self._context_angle = manifest.context.angle
        self._one = (1, frames, manifest.latent.dim)
        self._states: dict[str, Array] = {
            spec.name: np.empty(spec.resolve({}), spec.dtype) for spec in graph.states
        }
        self._filled = np.zeros((1, self.keep), np.float32)
        self._position = np.zeros(1, np.int64)
        chunks_at_once = graph.input("latents").shape[1]
        self._batch = self.keep if isinstance(chunks_at_once, str) else chunks_at_once
        if depth > self._batch or (self._batch > 1 and isinstance(chunks_at_once, int)):
            raise UsageError(
                f"the velocity graph takes {chunks_at_once} chunks at once, the ladder has "
                f"{depth} in flight: use a ladder of that depth"
            )
        self._runs = {n: Run(self, n) for n in range(1, depth + 1)}
        self.reset()

    def reset(self) -> None:
        """Forget every finished chunk."""
        self._filled.fill(0.0)
        for spec in self._specs:
            self._states[spec.name].fill(spec.initial)

    def velocity(self, window: Window) -> Floats:
        """float32[n, frames, dim] of the n chunks in flight, oldest first."""
        count = len(window.flying)
        first = window.count - count
        assert window.rung[first] > 0, "chunks in flight stand together at the end"
        run = self._runs[count]
        run.latents[0] = window.latents[first : window.count]
        run.angle[0] = window.angles[first : window.count]
        self._position[0] = window.index[first] % self._period
        run.go()
        velocity: Floats = run.out["velocity"][0]
        return velocity

    def commit(self, latents: Floats, first_index: int) -> None:
        """Finished chunks float32[n, frames, dim] in a row, several at once where the graph can."""
        if latents.shape[0] == 1:
            self._commit(self._runs[1], latents, first_index)
            return
        for start in range(0, latents.shape[0], self._batch):
            part = latents[start : start + self._batch]
            run = self._runs[1] if len(part) == 1 else Run(self, len(part))
            self._commit(run, part, first_index + start)

    def _commit(self, run: Run, latents: Floats, first_index: int) -> None:
        run.latents[0] = latents
        run.angle.fill(self._context_angle)
        self._position[0] = first_index % self._period
        run.go()
        slots = [(first_index + k) % self.keep for k in range(latents.shape[0])]
        for spec in self._specs:
            self._keep(spec, run.out[spec.next_name], slots)
        self._filled[0, slots] = 1.0

    def _keep(self, spec: StateSpec, after: Array, slots: list[int]) -> None:
        state = self._states[spec.name]
        if spec.ring_axis is None:
            state[...] = after
            return
        np.moveaxis(state, spec.ring_axis, 0)[slots] = np.moveaxis(after, spec.ring_axis, 0)


class Run:
    """The arrays of a run of n chunks, bound once."""

    def __init__(self, context: CachedContext, chunks: int) -> None:
        _, frames, dim = context._one
        self.latents = np.zeros((1, chunks, frames, dim), np.float32)
        self.angle = np.zeros((1, chunks), np.float32)
        sizes = {"chunks": chunks, "frames": frames}
        self.out: dict[str, Array] = {"velocity": np.zeros_like(self.latents)}
        for spec in context._specs:
            after = spec.next_spec
            self.out[after.name] = np.zeros(after.resolve(sizes), after.dtype)
        feeds: dict[str, Array] = {
            "latents": self.latents, "angle": self.angle, "position": context._position,
            "filled": context._filled, **context._states,
        }  # fmt: skip
        self.go: Callable[[], None] = context._session.bind(feeds, self.out)


def open_context(bundle: Bundle, backend: Backend, frames: int, depth: int) -> Context:
    """The context that the bundle was trained for."""
    if bundle.manifest.context.kind == "window":
        return WindowContext(bundle, backend, frames)
    return CachedContext(bundle, backend, frames, depth)
