"""The finished chunk whose traces are not in the rings yet: it goes along with the next pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.session import Array, Floats
from engine.slots import Slots, nothing_asked
from engine.window import Plan


class Waiting:
    """At most one finished chunk, in arrays that stay where they are."""

    def __init__(self, slots: Slots) -> None:
        self.latents = np.zeros(slots.chunk, np.float32)
        self._place = np.zeros(2, np.int64)  # how many, 0 or 1, and the index
        self._asked = nothing_asked(slots.prompting, (1,), slots.chunk[0])

    @property
    def arrays(self) -> dict[str, Array]:
        """All of them, by name."""
        plain: dict[str, Array] = {"waiting": self._place, "waiting.latents": self.latents}
        return plain | {f"waiting.{name}": array for name, array in self._asked.items()}

    @property
    def count(self) -> int:
        """0 or 1."""
        return int(self._place[0])

    @property
    def index(self) -> int:
        """Of the chunk."""
        return int(self._place[1])

    @property
    def plan(self) -> Plan | None:
        """What it was asked to be; None where nothing can be asked."""
        return Plan(self._asked["tokens"][0], self._asked["brief"][0]) if self._asked else None

    def begin(self, index: int) -> None:
        """A chunk begins to wait."""
        self._place[:] = 1, index

    def note(self, latents: Floats, plans: Sequence[Plan]) -> None:
        """Its latents float32[frames, dim]; the one plan is its own."""
        self.latents[...] = latents
        for name, array in self._asked.items():
            array[0] = getattr(plans[0], name)

    def clear(self) -> None:
        """None waits."""
        self._place[0] = 0
