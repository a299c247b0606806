"""The budgets of a live bundle on two processor cores and for the ear, and who keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "real_time_factor": (0.15, 0.05),
    "first_audio.warm_s": (0.2, 0.08),
    "first_audio.process_s": (2.0, 1.0),
    "tick_share.p999": (0.8, 0.5),
    "deadline_misses": (0.0, 0.0),
    "sink.underruns": (0.0, 0.0),
    "live.underruns": (0.0, 0.0),
    "live.control_to_sound_s.p99": (0.5, 0.15),
    "overhead.fraction": (0.03, 0.01),
    "memory.end_mb": (1000.0, 400.0),
    "live.memory_end_mb": (1000.0, 400.0),
    "bundle.megabytes": (40.0, 15.0),
}
LOADED = ("tick_share.p999", "deadline_misses", "sink.underruns", "live.underruns")
"""What is asked of a machine that is busy with other work; the rest is asked of an idle one."""
CONTROL_BUDGETS = {
    "control.idea.to_sound_s.p99": (0.5, 0.15),
    "deadline_misses": (0.0, 0.0),
    "underruns": (0.0, 0.0),
}
QUALITY_BUDGETS = {
    "autoencoder.held_out.mel_error_db": (3.0, 1.5),
    "wide.held_out.mel_error_db": (2.0, 1.5),
    "wide.takes.mel_error_db": (4.0, 2.0),
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
    loaded = bool(report.get("load"))
    budgets = {name: both for name, both in BUDGETS.items() if not loaded or name in LOADED}
    if report.get("backend") in COST_FREE_BACKENDS:
        budgets.pop("overhead.fraction", None)
    return checks(report, budgets)


def control_checks(report: Mapping[str, Any]) -> list[Check]:
    """Every budget of `bench control`."""
    return checks(report, CONTROL_BUDGETS)


def checks(report: Mapping[str, Any], budgets: Mapping[str, tuple[float, float]]) -> list[Check]:
    """Every budget whose figure the report has."""
    found = ((path, lookup(report, path), budget) for path, budget in budgets.items())
    return [Check(path, value, *budget) for path, value, budget in found if value is not None]


def passed(found: list[Check]) -> bool:
    """Nothing over its must."""
    return all(check.must_met for check in found)


def verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    """The verdict of a report in plain values, as a person reads it."""
    for check in verdict["checks"]:
        kept = check["value"] <= check["must"]
        word = "aim met" if check["value"] <= check["aim"] else "kept" if kept else "MISSED"
        budget = f"must {check['must']:g}, aim {check['aim']:g}"
        yield f"{check['name']:<32} {check['value']:10.4f}   {budget:<24} {word}"
    yield "every budget is kept" if verdict["passed"] else "a budget is missed"
