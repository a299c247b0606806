"""Python's garbage collector kept out of the ticks.

Left to itself it runs whenever enough objects have been made, stops every thread, and looks at all
that was ever loaded: some tens of milliseconds. Here what is there when the music begins is put
aside for good, and the rest is collected between ticks, when there is time. The collector belongs
to the whole process: several at once share it, and the last to end gives it back as it was.
"""

from __future__ import annotations

import gc
import threading
from time import perf_counter
from typing import ClassVar

OLDER_EVERY = 16
"""Rests after which the next older generation is collected, too."""

RESERVE = 3.0
"""A collection is begun if there is time for so many like those of its kind before."""

FORGET = 0.9
"""What is left of a long collection, as an expectation, after a short one."""

GUESS_S = (0.001, 0.002, 0.01)
"""What each generation is taken for before it was collected once."""

LITTER = 50_000
"""New objects that are collected in any case, where there is never time."""


class Tidy:
    """Collects in the rests it is told of, between `begin` and `end`."""

    _lock = threading.Lock()
    _users: ClassVar[int] = 0
    _was_enabled: ClassVar[bool] = True

    def __init__(self) -> None:
        self.usual_s = list(GUESS_S)
        self.collections = [0, 0, 0]
        self._rests = 0
        self._begun = False

    def begin(self) -> None:
        """The music has begun: nothing is collected by itself from now on."""
        if self._begun:
            return
        self._begun = True
        with Tidy._lock:
            if not Tidy._users:
                Tidy._was_enabled = gc.isenabled()
                gc.disable()
                gc.freeze()
            Tidy._users += 1

    def end(self) -> None:
        """Give the collector back."""
        if not self._begun:
            return
        self._begun = False
        with Tidy._lock:
            Tidy._users -= 1
            if not Tidy._users:
                gc.unfreeze()
                if Tidy._was_enabled:
                    gc.enable()

    def rest(self, spare_s: float) -> None:
        """There is nothing to do for so long: collect, if that is time enough."""
        if not self._begun:
            return
        age = self._due()
        while age and not self._fits(age, spare_s):
            self.usual_s[age] /= 2  # for it is tried again some time
            age -= 1
        if self._fits(age, spare_s) or gc.get_count()[0] >= LITTER:
            self._collect(age)

    def _due(self) -> int:
        """The generation whose turn it is: 0, every 16th time 1, every 256th time 2."""
        turn = self._rests + 1
        return sum(turn % OLDER_EVERY**age == 0 for age in (1, 2))

    def _fits(self, age: int, spare_s: float) -> bool:
        return RESERVE * self.usual_s[age] <= spare_s

    def _collect(self, age: int) -> None:
        self._rests += 1
        began_s = perf_counter()
        gc.collect(age)
        took_s = perf_counter() - began_s
        self.usual_s[age] = max(took_s, FORGET * self.usual_s[age])
        self.collections[age] += 1
