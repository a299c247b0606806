"""What subscribers are told of how things stand: each change once, everything to who is new."""

from __future__ import annotations

from collections.abc import Mapping

from engine.brief import SCALES, TONICS
from engine.controls import ControlSnapshot
from engine.rig.faders import to_fader
from engine.spec import ControlSpec

Told = tuple[str, float | str]

NAMED = {"tonic": TONICS, "scale": SCALES}

PLACES = ("/scene", "/state")
"""What was recalled last, the one or the other, is where the music is."""


class Feedback:
    """Remembers what was told. Not thread-safe."""

    def __init__(self, specs: Mapping[str, ControlSpec]) -> None:
        self._specs = specs
        self._told: dict[str, float | None] = {}
        self._place: list[Told] = []
        self._place_is_told = True

    def told(self, path: str, *arguments: float | str) -> None:
        """Something happened, and was told to all who are there now."""
        if path in PLACES:
            self._place, self._place_is_told = [(path, arguments[0])], True

    def forget(self) -> None:
        """Tell everything again, for somebody new."""
        self._told.clear()
        self._place_is_told = False

    def changes(self, now: ControlSnapshot) -> list[Told]:
        """OSC paths and arguments of what is not told yet."""
        found = [] if self._place_is_told else list(self._place)
        self._place_is_told = True
        for name, value in now.values.items():
            if name not in self._told or self._told[name] != value:
                self._told[name] = value
                found += _both(self._specs[name], value)
        return found


def _both(spec: ControlSpec, value: float | None) -> list[Told]:
    shown: float | str = "free" if value is None else value
    if value is not None and spec.name in NAMED:
        shown = NAMED[spec.name][round(value)]
    return [(f"/control/{spec.name}", to_fader(spec, value)), (f"/value/{spec.name}", shown)]
