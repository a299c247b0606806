"""The window: chunks of latents, each on a rung of the ladder, oldest first.

Rung T is pure noise, rung 0 is finished. Every pass moves all chunks in flight one rung down,
each by its own ω; finished chunks carry the context angle and are never touched again (trap 4 of
the paper: context that is stepped shrinks). Any pattern of rungs is allowed: one chunk in flight,
a staggered ladder, the whole window at once, or a hole between finished chunks (inpainting).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.angles import Table, step
from engine.drawing import Dice
from engine.session import Floats

Rungs = tuple[tuple[int, float], ...]
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a chunk was asked to be, from its entry to its end."""

    tokens: Tokens  # of the chunk, [n]
    brief: Floats  # float32[brief]
    guidance: float = 1.0


UNPLANNED = Plan(np.zeros(0, np.int64), np.zeros(0, np.float32))
"""For networks without conditions."""


def noise(seed: int, index: int, frames: int, dim: int, dice: Dice | None = None) -> Floats:
    """N(0, I) of one chunk, float32[frames, dim]: a function of seed and chunk index alone."""
    return (dice or Dice()).at(seed, index).standard_normal((frames, dim), np.float32)


@dataclass(slots=True, eq=False)
class Chunk:
    """One chunk of the window."""

    latents: Floats  # float32[frames, dim], its own
    index: int
    rung: int  # of the ladder; 0: finished
    angle: float
    revision: int  # of the controls that it entered with
    plan: Plan = UNPLANNED


class Window:
    """At most `capacity` chunks of `frames` × `dim`, oldest first.

    `changes` counts: as long as it stays, the same chunks are in flight.
    """

    def __init__(self, capacity: int, frames: int, dim: int, context_angle: float) -> None:
        self.capacity = capacity
        self.context_angle = context_angle
        self.chunks: list[Chunk] = []
        self.changes = 0
        self._shape = (frames, dim)

    @property
    def flying(self) -> list[Chunk]:
        """The chunks in flight, oldest first."""
        return [chunk for chunk in self.chunks if chunk.rung > 0]

    @property
    def finished(self) -> list[Chunk]:
        """The finished chunks, oldest first."""
        return [chunk for chunk in self.chunks if chunk.rung == 0]

    def clear(self) -> None:
        """Forget every chunk."""
        self.chunks.clear()
        self.changes += 1

    def append(
        self, latents: Floats, index: int, rung: int, angle: float, revision: int,
        plan: Plan = UNPLANNED,
    ) -> None:  # fmt: skip
        """A chunk enters as the newest, on a rung that stands at `angle`."""
        assert len(self.chunks) < self.capacity, "the window is full: drop a chunk first"
        assert latents.shape == self._shape, latents.shape
        chunk = Chunk(latents.copy(), index, rung, angle, revision, plan)
        self._stand(chunk, rung, angle)
        self.chunks.append(chunk)
        self.changes += 1

    def drop(self, count: int = 1) -> None:
        """The oldest chunks leave."""
        del self.chunks[:count]
        self.changes += 1

    def relabel(self, steps: int, new_steps: int) -> None:
        """Chunks in flight on a ladder of `steps` go on, on one of `new_steps`.

        Between ticks every rung is a whole multiple of T/J, so it has its like on the new
        ladder. The angle stays; the next pass leads from it to the new ladder's next rung.
        """
        for chunk in self.chunks:
            chunk.rung = -(-chunk.rung * new_steps // steps)

    def advance(self, velocity: Floats, table: Table) -> None:
        """One pass: every chunk in flight one rung down.

        velocity float32[n, frames, dim] of the chunks in flight, oldest first; it is used up.
        """
        flying = self.flying
        ahead = self.ahead(flying, table, 1)
        for chunk, own, (angle, target) in zip(flying, velocity, ahead.T, strict=True):
            step(chunk.latents, own, angle - target)
        self.descended(flying, ahead)

    def ahead(self, flying: Sequence[Chunk], table: Table, passes: int) -> Table:
        """What chunks in flight stand at now and after each of so many passes.

        float64[passes + 1, n]
        """
        rungs, last = table.tolist(), len(table) - 1
        return np.array(
            [[chunk.angle, *rungs[last - chunk.rung + 1 :][:passes]] for chunk in flying]
        ).T

    def descended(self, flying: Sequence[Chunk], ahead: Table) -> None:
        """Chunks in flight have taken the passes that `ahead` told of."""
        passes = len(ahead) - 1
        for chunk, angle in zip(flying, ahead[-1].tolist(), strict=True):
            self._stand(chunk, chunk.rung - passes, angle)
            self.changes += chunk.rung == 0

    def rungs(self) -> Rungs:
        """(chunk index, angle) of every chunk, oldest first."""
        return tuple((chunk.index, chunk.angle) for chunk in self.chunks)

    def latents_of(self, chunks: Sequence[Chunk]) -> Floats:
        """A copy of theirs, float32[n, frames, dim]."""
        return np.array([chunk.latents for chunk in chunks], np.float32).reshape(-1, *self._shape)

    def _stand(self, chunk: Chunk, rung: int, angle: float) -> None:
        chunk.rung = rung
        chunk.angle = angle if rung else self.context_angle
