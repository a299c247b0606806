"""Faders: where 0 … 1 lies in the range of a control."""

from __future__ import annotations

from engine.spec import ControlSpec


def from_fader(spec: ControlSpec, place: float) -> float:
    """The value at a place 0 … 1 of the range, whole where the control is; beyond it, its end."""
    place = min(max(place, 0.0), 1.0)
    value = spec.minimum + place * (spec.maximum - spec.minimum)
    return float(round(value)) if spec.whole else value


def to_fader(spec: ControlSpec, value: float | None) -> float:
    """The place 0 … 1 of a value; a free control stands where its fader begins."""
    known = spec.default if value is None else value
    span = spec.maximum - spec.minimum
    return (known - spec.minimum) / span if span else 0.0
