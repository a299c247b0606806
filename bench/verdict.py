"""The budgets of a live bundle on two processor cores and for the ear, and who keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.report import lookup


@dataclass(frozen=True)
class Check:
    """One figure against its budget. `aim_met` is praise; only `must_met` decides."""

    name: str
    value: float
    must: float
    aim: float

    @property
    def must_met(self) -> bool:
        """At or below what it must keep."""
        return self.value <= self.must

    @property
    def aim_met(self) -> bool:
        """At or below what is aimed at."""
        return self.value <= self.aim


BUDGETS = {
    "real_time_factor": (0.5, 0.1),
    "first_audio.warm_s": (0.3, 0.1),
    "first_audio.process_s": (3.0, 1.5),
    "deadline_misses": (0.0, 0.0),
    "live.underruns": (0.0, 0.0),
    "overhead.fraction": (0.05, 0.01),
    "memory.end_mb": (1000.0, 400.0),
    "live.memory_end_mb": (1000.0, 400.0),
    "bundle.megabytes": (40.0, 15.0),
}
QUALITY_BUDGETS = {
    "autoencoder.held_out.mel_error_db": (3.0, 1.5),
    "frechet.ratio": (0.5, 0.2),
    "drift.bad_samples": (0.0, 0.0),
    "drift.longest_silence_s": (1.0, 0.5),
    "drift.worst_stretch_off_db": (3.0, 1.5),
}
COST_FREE_BACKENDS = ("standin",)


def latency_checks(report: Mapping[str, Any]) -> list[Check]:
    """Every budget of time and size whose figure the report has.

    The overhead is a share of the tick, so it says nothing about a backend whose graphs cost
    nothing: it is left out for the stand-in.
    """
    budgets = dict(BUDGETS)
    if report.get("backend") in COST_FREE_BACKENDS:
        del budgets["overhead.fraction"]
    chunk_s, ring_s = lookup(report, "chunk_s"), lookup(report, "live.ring_s")
    if chunk_s is not None and ring_s is not None:
        budgets["live.control_to_sound_s.p99"] = (2 * chunk_s + ring_s, 0.25)
    return checks(report, budgets)


def checks(report: Mapping[str, Any], budgets: Mapping[str, tuple[float, float]]) -> list[Check]:
    """Every budget whose figure the report has."""
    found = ((path, lookup(report, path), budget) for path, budget in budgets.items())
    return [Check(path, value, *budget) for path, value, budget in found if value is not None]


def passed(found: list[Check]) -> bool:
    """Nothing over its must."""
    return all(check.must_met for check in found)
