"""The controls of a stream: newest value wins, and every change has a revision.

Hands act at the sink: `gain_db`, `mute` (0/1), `fade` (seconds; 0 = up), `panic` (0/1: silence
now), and `hold` (0/1: keep the present music going). Ideas reach the next chunk that enters the
window: `seed`, `steps` (passes of a chunk), `temperature` (scale of its noise).

A bundle with prompting has more ideas: what is asked of the music (`bpm`, `tonic`, `scale`,
`density`, `brightness`, and a family of instruments each: 1 play, 0 do not), all of which may be
None and then are free; `guidance` (how much what is asked counts), `focus` and `top_k` (how the
language model picks). The prompt itself is a place in the joint music-text space.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from engine.brief import BPM_RANGE, FAMILIES, SCALES, TONICS
from engine.errors import ControlError
from engine.session import Floats
from engine.spec import ControlSpec, LadderSpec

NAMES = {
    "tonic": {name.lower(): place for place, name in enumerate(TONICS)}
    | {"c#": 1, "d#": 3, "gb": 6, "g#": 8, "a#": 10},
    "scale": {name: place for place, name in enumerate(SCALES)},
}
"""Names that these controls take in the place of numbers, in any case."""


@dataclass(frozen=True, slots=True)
class ControlSnapshot:
    """All values at one revision. Revision 0 is the defaults; a value of None is free."""

    revision: int
    values: Mapping[str, float | None]
    prompt: Floats | None = field(default=None, compare=False)  # float32[E] of length 1

    def value(self, name: str, default: float) -> float:
        """The value of a control, `default` where it is free or the bundle has no such control."""
        value = self.values.get(name)
        return default if value is None else value


class Controls:
    """Thread-safe: many set, anyone takes snapshots without waiting."""

    def __init__(self, specs: Iterable[ControlSpec]) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self._lock = threading.Lock()
        defaults = {
            spec.name: None if spec.optional else spec.default for spec in self.specs.values()
        }
        self._snapshot = ControlSnapshot(0, MappingProxyType(defaults))

    def snapshot(self) -> ControlSnapshot:
        """The present values; never changes afterwards."""
        return self._snapshot

    def set(self, name: str, value: float | str | None) -> int:
        """Set one control and return the new revision.

        None frees a control that is optional; tonic and scale take names, too. ControlError names
        the field and its range; what was set before stays.
        """
        return self.update({name: value})

    def update(self, values: Mapping[str, float | str | None]) -> int:
        """Set several controls in one revision, or none of them."""
        checked = {name: self._checked(name, value) for name, value in values.items()}
        with self._lock:
            now = self._snapshot
            merged = MappingProxyType({**now.values, **checked})
            self._snapshot = ControlSnapshot(now.revision + 1, merged, now.prompt)
            return self._snapshot.revision

    def set_prompt(self, embedding: Floats | None) -> int:
        """Set the prompt, float32[E] of length 1 (Prompts.embed), or none; the new revision.

        ControlError for anything else; what was set before stays.
        """
        prompt = None if embedding is None else _direction(embedding)
        with self._lock:
            now = self._snapshot
            self._snapshot = ControlSnapshot(now.revision + 1, now.values, prompt)
            return self._snapshot.revision

    def _checked(self, name: str, value: object) -> float | None:
        spec = self.specs.get(name)
        if spec is None:
            raise ControlError(f"no control {name!r:.40}; there are: {', '.join(self.specs)}")
        if value is None and spec.optional:
            return None
        if isinstance(value, str) and name in NAMES:
            value = _named(name, value)
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int | float) or not _inside(spec, value):
            unit = f" {spec.unit}" if spec.unit else ""
            kind = "whole numbers " if spec.whole else ""
            raise ControlError(
                f"{name} is {value!r:.40}, it takes {kind}{spec.minimum:g} … {spec.maximum:g}{unit}"
            )
        return float(value)


def _named(name: str, text: str) -> int:
    """The number behind a name; ControlError lists the names."""
    names = NAMES[name]
    if text.strip().lower() not in names:
        known = ", ".join(TONICS if name == "tonic" else SCALES)
        raise ControlError(f"{name} is {text!r:.40}, it takes one of {known}")
    return names[text.strip().lower()]


def _direction(embedding: Floats) -> Floats:
    """A copy that nobody changes; ControlError if it is no direction."""
    prompt = np.array(embedding, np.float32)
    if prompt.ndim != 1 or not abs(float(np.linalg.norm(prompt)) - 1.0) < 1e-3:  # also for NaN
        raise ControlError(f"prompt is {list(prompt.shape)}, it takes a vector of length 1")
    prompt.setflags(write=False)
    return prompt


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


def prompting_controls(vocabulary: int, guidance: float = 2.5) -> tuple[ControlSpec, ...]:
    """The further ideas of a bundle with prompting; `vocabulary` is that of its tokens.

    `guidance` is where that one starts: 2.5 in the paper, 1 costs half as much.
    """
    families = (
        ControlSpec(name, "idea", 0.0, 1.0, 1.0, "", whole=True, optional=True) for name in FAMILIES
    )
    last_scale = len(SCALES) - 1.0
    return (
        ControlSpec("bpm", "idea", *BPM_RANGE, 120.0, "bpm", optional=True),
        ControlSpec("tonic", "idea", 0.0, 11.0, 0.0, "", whole=True, optional=True),
        ControlSpec("scale", "idea", 0.0, last_scale, 0.0, "", whole=True, optional=True),
        ControlSpec("density", "idea", 0.0, 1.0, 0.5, "", optional=True),
        ControlSpec("brightness", "idea", 0.0, 1.0, 0.5, "", optional=True),
        *families,
        ControlSpec("guidance", "idea", 1.0, 5.0, guidance, ""),
        ControlSpec("focus", "idea", 0.0, 2.0, 1.0, ""),
        ControlSpec("top_k", "idea", 1.0, vocabulary, vocabulary, "", whole=True),
    )
