"""Where prompts lie in the music-text space: found once, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine.errors import ControlError
from engine.prompts import Prompt
from engine.rig.orders import Words
from engine.session import Floats

MOST_PLACES = 512

Embed = Callable[[Sequence[Prompt]], Floats | None]
Prompts = tuple[Words, ...]


class Places:
    """The places of the prompts of one stream. Not thread-safe but for `find`."""

    def __init__(self, embed: Embed | None) -> None:
        """`embed` turns prompts into a place; None: the bundle takes no prompts."""
        self.embed = embed
        self._known: dict[Prompts, Floats | None] = {(): None}
        self._staged: set[Prompts] = {()}

    def stage(self, prompts: Prompts) -> None:
        """Find these and never forget them: a scene may ask for them. ControlError if they fail."""
        self.find(prompts)
        self._staged.add(prompts)

    def find(self, prompts: Prompts) -> None:
        """Have their place known; takes a while. ControlError says what is wrong with them."""
        if prompts in self._known:
            return
        if self.embed is None:
            raise ControlError("this bundle takes no prompts")
        self.keep(prompts, self.embed([Prompt(one.text, weight=one.weight) for one in prompts]))

    def keep(self, prompts: Prompts, place: Floats | None) -> None:
        """They are at this place."""
        if len(self._known) >= MOST_PLACES:
            self._known = {key: one for key, one in self._known.items() if key in self._staged}
        self._known[prompts] = place

    def of(self, prompts: Prompts) -> Floats | None:
        """The place of prompts that are known."""
        return self._known[prompts]

    def holds(self, prompts: Prompts, place: Floats | None) -> bool:
        """True if these prompts are known to be at this place."""
        if prompts not in self._known:
            return False
        known = self._known[prompts]
        if known is None or place is None:
            return known is place
        return np.array_equal(known, place)
