"""What a run of the velocity network is told of a stream's chunks in flight, and what it finds.

Where chunks are guided, a run has two copies of them: one as it was asked, one of which nothing is
asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.session import Floats
from engine.slots import Descent, Run
from engine.window import Chunk, Plan, Window


class Place:
    """Where a run has a stream's chunks in flight, and what it found of them.

    `latents`, `angle` and `velocity` are [copies, n, …]; `ahead` stand before them.
    """

    def __init__(self, run: Run, row: int, ahead: int, copies: int) -> None:
        self.run, self.ahead = run, ahead
        shape, row = (copies, (run.chunks - ahead) // copies), row - run.start
        parts = (run.latents[row, ahead:], run.angle[row, ahead:], run.velocity[row, ahead:])
        self.latents, self.angle, self.velocity = (
            part.reshape(*shape, *part.shape[1:]) for part in parts
        )

    def enter(self, flying: Sequence[Chunk]) -> None:
        """Their latents, in every copy."""
        for k, chunk in enumerate(flying):
            self.latents[:, k] = chunk.latents


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A run that was told of the chunks in flight, as long as the window stays as it was.

    `guidance` is that of each of them, or none where nothing guides.
    """

    window: Window
    changes: int
    place: Place
    guidance: Sequence[float]

    def descent(self, passes: int) -> Descent | None:
        """All of these passes in one run: behind a finished chunk, and where nothing guides."""
        place = self.place
        return place.run.descent(passes) if place.ahead and not self.guidance else None

    def guided(self) -> Floats:
        """What the run found, float32[n, frames, dim]; for one use."""
        velocity: Floats = self.place.velocity
        return guide(velocity, self.guidance) if self.guidance else velocity[0]


def guided(plans: Sequence[Plan]) -> bool:
    """Does any of these lead away from what is not asked?"""
    return [plan.guidance for plan in plans].count(1.0) < len(plans)


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
