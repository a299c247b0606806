"""bench.verdict: which figures decide, and at which number."""

from __future__ import annotations

from typing import Any

import pytest

from bench import verdict


def report(**figures: Any) -> dict[str, Any]:
    return {
        "backend": "ort",
        "chunk_s": 0.3,
        "real_time_factor": 0.2,
        "deadline_misses": 0,
        "overhead": {"fraction": 0.02},
        "live": {"ring_s": 0.6, "underruns": 0, "control_to_sound_s": {"p99": 1.1}},
        **figures,
    }


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ({}, True),
        ({"real_time_factor": 0.51}, False),
        ({"deadline_misses": 1}, False),
        ({"overhead": {"fraction": 0.06}}, False),
        ({"overhead": {"fraction": 0.06}, "backend": "standin"}, True),
        ({"live": {"ring_s": 0.6, "underruns": 1}}, False),
        ({"live": {"ring_s": 0.2, "control_to_sound_s": {"p99": 1.1}}}, False),
    ],
)
def test_the_verdict(figures: dict[str, Any], kept: bool) -> None:
    assert verdict.passed(verdict.latency_checks(report(**figures))) is kept


def test_a_missing_figure_is_not_checked() -> None:
    assert [check.name for check in verdict.latency_checks({"real_time_factor": 0.3})] == [
        "real_time_factor"
    ]


def test_aim_and_must_are_apart() -> None:
    check = verdict.latency_checks({"real_time_factor": 0.3})[0]
    assert check.must_met
    assert not check.aim_met
