"""The controls of a stream: newest value wins, and every change has a revision.

Hands act at the sink: `gain_db`, `mute` (0/1), `fade` (seconds; 0 = up), `panic` (0/1: silence
now), and `hold` (0/1: keep the present music going). Ideas reach the next chunk that enters the
window: `seed`, `steps` (passes of a chunk), `temperature` (scale of its noise).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.errors import ControlError
from engine.spec import ControlSpec, LadderSpec


@dataclass(frozen=True, slots=True)
class ControlSnapshot:
    """All values at one revision. Revision 0 is the defaults."""

    revision: int
    values: Mapping[str, float]

    def value(self, name: str, default: float) -> float:
        """The value of a control, `default` where the bundle has no such control."""
        return self.values.get(name, default)


class Controls:
    """Thread-safe: many set, anyone takes snapshots without waiting."""

    def __init__(self, specs: Iterable[ControlSpec]) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self._lock = threading.Lock()
        defaults = {spec.name: spec.default for spec in self.specs.values()}
        self._snapshot = ControlSnapshot(0, MappingProxyType(defaults))

    def snapshot(self) -> ControlSnapshot:
        """The present values; never changes afterwards."""
        return self._snapshot

    def set(self, name: str, value: float) -> int:
        """Set one control and return the new revision.

        ControlError names the field and its range; what was set before stays.
        """
        return self.update({name: value})

    def update(self, values: Mapping[str, float]) -> int:
        """Set several controls in one revision, or none of them."""
        checked = {name: self._checked(name, value) for name, value in values.items()}
        with self._lock:
            merged = MappingProxyType({**self._snapshot.values, **checked})
            self._snapshot = ControlSnapshot(self._snapshot.revision + 1, merged)
            return self._snapshot.revision

    def _checked(self, name: str, value: object) -> float:
        spec = self.specs.get(name)
        if spec is None:
            raise ControlError(f"no control {name!r:.40}; there are: {', '.join(self.specs)}")
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int | float) or not _inside(spec, value):
            unit = f" {spec.unit}" if spec.unit else ""
            kind = "whole numbers " if spec.whole else ""
            raise ControlError(
                f"{name} is {value!r:.40}, it takes {kind}{spec.minimum:g} … {spec.maximum:g}{unit}"
            )
        return float(value)


def _inside(spec: ControlSpec, value: float) -> bool:
    inside = spec.minimum <= value <= spec.maximum  # False for NaN
    return inside and (not spec.whole or math.floor(value) == value)


def default_controls(ladder: LadderSpec, temperature: float = 1.0) -> tuple[ControlSpec, ...]:
    """The controls that every bundle has; `temperature` is where that one starts."""
    most_steps = max(4 * ladder.steps, 20 * ladder.depth)
    return (
        ControlSpec("gain_db", "hand", -60.0, 6.0, 0.0, "dB"),
        ControlSpec("mute", "hand", 0.0, 1.0, 0.0, "", whole=True),
        ControlSpec("fade", "hand", 0.0, 60.0, 0.0, "s"),
        ControlSpec("hold", "hand", 0.0, 1.0, 0.0, "", whole=True),
        ControlSpec("panic", "hand", 0.0, 1.0, 0.0, "", whole=True),
        ControlSpec("seed", "idea", 0.0, 2.0**31 - 1, 0.0, "", whole=True),
        ControlSpec("steps", "idea", ladder.depth, most_steps, ladder.steps, "", whole=True),
        ControlSpec("temperature", "idea", 0.7, 1.2, temperature, ""),
    )
