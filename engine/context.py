"""The two ways the velocity network looks back, behind one door.

`WindowContext` runs the whole window in every pass, as published. `CachedContext` runs only the
chunks in flight; what finished chunks leave behind is computed once, at the context angle, and
kept in rings whose slot is chunk index modulo context. A *pass* throws the next states away, a
*commit* keeps them.

A network with conditions runs on a batch of one, or of two where guidance is wanted: what was
asked, and nothing asked; both look back on the same rings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from engine.bundle import Bundle
from engine.errors import UsageError
from engine.session import Array, Backend, Floats
from engine.spec import StateSpec
from engine.window import Plan, Window


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

    def commit(self, latents: Floats, first_index: int, plans: Sequence[Plan] = ()) -> None:
        """Finished chunks float32[n, frames, dim] in a row, to be looked back on from now on.

        `plans` are theirs, one each; a network without conditions needs none.
        """
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

    def commit(self, latents: Floats, first_index: int, plans: Sequence[Plan] = ()) -> None:
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
        self._prompting = manifest.prompting
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
        rows = (1, 2) if manifest.prompting else (1,)
        self._runs = {(n, b): Run(self, n, b) for n in range(1, depth + 1) for b in rows}
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
        plans = window.plans[first:]
        guided = any(plan.guidance != 1.0 for plan in plans)
        run = self._runs[count, 2 if guided else 1]
        run.latents[:] = window.latents[first : window.count]
        run.angle[:] = window.angles[first : window.count]
        run.ask(plans)
        self._position[0] = window.index[first] % self._period
        run.go()
        velocity: Floats = run.out["velocity"]
        return guide(velocity, [plan.guidance for plan in plans]) if guided else velocity[0]

    def commit(self, latents: Floats, first_index: int, plans: Sequence[Plan] = ()) -> None:
        """Finished chunks float32[n, frames, dim] in a row, several at once where the graph can."""
        for start in range(0, latents.shape[0], self._batch):
            part = latents[start : start + self._batch]
            run = self._runs[1, 1] if len(part) == 1 else Run(self, len(part))
            run.ask(plans[start : start + self._batch])
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

    def _nothing(self, chunks: int, rows: int) -> dict[str, Array]:
        """The conditions of a run with nothing asked: absent tokens and an empty brief."""
        if self._prompting is None:
            return {}
        count = self._one[1] // self._prompting.token_frames
        shape = (rows, chunks, self._prompting.brief_size)
        tokens = np.full((rows, chunks, count), self._prompting.vocabulary, np.int64)
        return {"tokens": tokens, "brief": np.zeros(shape, np.float32)}

    def _keep(self, spec: StateSpec, after: Array, slots: list[int]) -> None:
        state = self._states[spec.name]
        if spec.ring_axis is None:
            state[...] = after
            return
        np.moveaxis(state, spec.ring_axis, 0)[slots] = np.moveaxis(after, spec.ring_axis, 0)


class Run:
    """The arrays of a run of n chunks, bound once; of two rows, the second has nothing asked."""

    def __init__(self, context: CachedContext, chunks: int, rows: int = 1) -> None:
        _, frames, dim = context._one
        self.latents = np.zeros((rows, chunks, frames, dim), np.float32)
        self.angle = np.zeros((rows, chunks), np.float32)
        self.asked = context._nothing(chunks, rows)
        sizes = {"chunks": chunks, "frames": frames}
        self.out: dict[str, Array] = {"velocity": np.zeros_like(self.latents)}
        for spec in context._specs:
            shape = spec.next_spec.resolve(sizes)
            shape = (rows, *shape[1:]) if rows > 1 else shape
            self.out[spec.next_name] = np.zeros(shape, spec.dtype)
        feeds: dict[str, Array] = {
            "latents": self.latents, "angle": self.angle, "position": context._position,
            "filled": context._filled, **self.asked, **context._states,
        }  # fmt: skip
        self.go: Callable[[], None] = context._session.bind(feeds, self.out)

    def ask(self, plans: Sequence[Plan]) -> None:
        """What is asked of each chunk, into the first row."""
        if self.asked:
            assert len(plans) == self.latents.shape[1], "every chunk has a plan"
            for k, plan in enumerate(plans):
                self.asked["tokens"][0, k] = plan.tokens
                self.asked["brief"][0, k] = plan.brief


def guide(velocity: Floats, guidance: Sequence[float]) -> Floats:
    """v_absent + g·(v_asked − v_absent) of each chunk, written over v_asked.

    velocity float32[2, n, frames, dim]: asked, absent -> float32[n, frames, dim].
    """
    asked: Floats = velocity[0]
    absent: Floats = velocity[1]
    asked -= absent
    asked *= np.array(guidance, np.float32)[:, None, None]
    asked += absent
    return asked


def open_context(bundle: Bundle, backend: Backend, frames: int, depth: int) -> Context:
    """The context that the bundle was trained for."""
    if bundle.manifest.context.kind == "window":
        return WindowContext(bundle, backend, frames)
    return CachedContext(bundle, backend, frames, depth)
