"""What subscribers are told of the controls: each one that has changed, as fader and as value."""

from __future__ import annotations

from collections.abc import Mapping

from engine.brief import SCALES, TONICS
from engine.controls import ControlSnapshot
from engine.rig.faders import to_fader
from engine.spec import ControlSpec

Told = tuple[str, float | str]

NAMED = {"tonic": TONICS, "scale": SCALES}


class Feedback:
    """Remembers what was told. Not thread-safe."""

    def __init__(self, specs: Mapping[str, ControlSpec]) -> None:
        self._specs = specs
        self._told: dict[str, float | None] = {}

    def forget(self) -> None:
        """Tell everything again, for somebody new."""
        self._told.clear()

    def changes(self, now: ControlSnapshot) -> list[Told]:
        """OSC paths and arguments of what is not told yet."""
        found: list[Told] = []
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
