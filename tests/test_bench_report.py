"""bench.report: what it writes is strict JSON, and numbers are found by path."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from bench.report import lookup, to_json


@dataclass(frozen=True)
class Inner:
    value: float
    missing: float = float("nan")


def test_everything_becomes_strict_json() -> None:
    text = to_json({"a": Inner(1.5), "b": np.arange(3), "c": (np.float32(2.0), np.inf), "d": "x"})
    assert json.loads(text) == {
        "a": {"value": 1.5, "missing": None},
        "b": [0, 1, 2],
        "c": [2.0, None],
        "d": "x",
    }
    assert "\n" not in text


def test_lookup_finds_numbers_only() -> None:
    report = {"a": {"b": 2, "t": True, "s": "text", "n": float("nan")}, "z": 0.5}
    assert lookup(report, "a.b") == 2.0
    assert lookup(report, "z") == 0.5
    for path in ("a", "a.t", "a.s", "a.n", "a.b.c", "none"):
        assert lookup(report, path) is None
