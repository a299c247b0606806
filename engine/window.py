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


class Window:
    """At most `capacity` chunks of `frames` × `dim`; the rows [:count] of every array are used.

    `plans` has a plan for each of these rows. `changes` counts: as long as it stays, the same
    chunks are in flight.
    """

    def __init__(self, capacity: int, frames: int, dim: int, context_angle: float) -> None:
        self.capacity = capacity
        self.context_angle = context_angle
        self.count = 0
        self.latents = np.zeros((capacity, frames, dim), np.float32)
        self.angles = np.zeros(capacity, np.float64)
        self.rung = np.zeros(capacity, np.int64)
        self.index = np.zeros(capacity, np.int64)
        self.revision = np.zeros(capacity, np.int64)
        self.plans: list[Plan] = []
        self.changes = 0

    @property
    def flying(self) -> list[int]:
        """Rows of the chunks in flight, oldest first."""
        return [row for row, rung in enumerate(self.rung[: self.count].tolist()) if rung > 0]

    @property
    def finished(self) -> list[int]:
        """Rows of the finished chunks, oldest first."""
        return [row for row, rung in enumerate(self.rung[: self.count].tolist()) if rung == 0]

    def clear(self) -> None:
        """Forget every chunk."""
        self.count = 0
        self.plans.clear()
        self.changes += 1

    def append(
        self, latents: Floats, index: int, rung: int, angle: float, revision: int,
        plan: Plan = UNPLANNED,
    ) -> None:  # fmt: skip
        """A chunk enters as the newest, on a rung that stands at `angle`."""
        assert self.count < self.capacity, "the window is full: drop a chunk first"
        row = self.count
        self.latents[row] = latents
        self.index[row] = index
        self.revision[row] = revision
        self.plans.append(plan)
        self._stand(row, rung, angle)
        self.count += 1
        self.changes += 1

    def drop(self, rows: int = 1) -> None:
        """The oldest chunks leave; the others move up."""
        kept = self.count - rows
        for array in (self.latents, self.angles, self.rung, self.index, self.revision):
            array[:kept] = array[rows : self.count]
        del self.plans[:rows]
        self.count = kept
        self.changes += 1

    def relabel(self, steps: int, new_steps: int) -> None:
        """Chunks in flight on a ladder of `steps` go on, on one of `new_steps`.

        Between ticks every rung is a whole multiple of T/J, so it has its like on the new
        ladder. The angle stays; the next pass leads from it to the new ladder's next rung.
        """
        rung = self.rung[: self.count]
        rung[:] = -(-rung * new_steps // steps)

    def advance(self, velocity: Floats, table: Table) -> None:
        """One pass: every chunk in flight one rung down.

        velocity float32[n, frames, dim] of the chunks in flight, oldest first; it is used up.
        """
        rows = self.flying
        ahead = self.ahead(rows, table, 1)
        for row, own, (angle, target) in zip(rows, velocity, ahead.T, strict=True):
            step(self.latents[row], own, angle - target)
        self.descended(rows, ahead)

    def ahead(self, rows: Sequence[int], table: Table, passes: int) -> Table:
        """What chunks in flight stand at now and after each of so many passes.

        float64[passes + 1, n]
        """
        last = len(table) - 1
        return np.array(
            [[self.angles[row], *table[last - rung + 1 : last - rung + 1 + passes]]
             for row, rung in zip(rows, self.rung[rows].tolist(), strict=True)]
        ).T  # fmt: skip

    def descended(self, rows: Sequence[int], ahead: Table) -> None:
        """Chunks in flight have taken the passes that `ahead` told of."""
        for row, angle in zip(rows, ahead[-1].tolist(), strict=True):
            rung = int(self.rung[row]) - (len(ahead) - 1)
            self._stand(row, rung, angle)
            self.changes += rung == 0

    def rungs(self) -> Rungs:
        """(chunk index, angle) of every chunk, oldest first."""
        n = self.count
        return tuple(zip(self.index[:n].tolist(), self.angles[:n].tolist(), strict=True))

    def _stand(self, row: int, rung: int, angle: float) -> None:
        self.rung[row] = rung
        self.angles[row] = angle if rung else self.context_angle
