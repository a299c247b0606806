"""bench.verdict: which figures decide, and at which number."""

from __future__ import annotations

from typing import Any

import pytest

from bench import verdict


def report(**figures: Any) -> dict[str, Any]:
    return {
        "backend": "ort",
        "chunk_s": 0.3,
        "real_time_factor": 0.12,
        "deadline_misses": 0,
        "overhead": {"fraction": 0.02},
        "tick_share": {"p999": 0.4},
        "sink": {"underruns": 0},
        "live": {"underruns": 0, "control_to_sound_s": {"p99": 0.45}},
        **figures,
    }


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ({}, True),
        ({"real_time_factor": 0.16}, False),
        ({"deadline_misses": 1}, False),
        ({"overhead": {"fraction": 0.04}}, False),
        ({"overhead": {"fraction": 0.04}, "real_time_factor": 0.3, "load": 2}, True),
        ({"tick_share": {"p999": 0.81}, "load": 2}, False),
        ({"deadline_misses": 1, "load": 2}, False),
        ({"overhead": {"fraction": 0.06}, "backend": "standin"}, True),
        ({"live": {"underruns": 1}}, False),
        ({"sink": {"underruns": 1}}, False),
        ({"tick_share": {"p999": 0.81}}, False),
        ({"live": {"control_to_sound_s": {"p99": 0.51}}}, False),
    ],
)
def test_the_verdict(figures: dict[str, Any], kept: bool) -> None:
    assert verdict.passed(verdict.latency_checks(report(**figures))) is kept


def test_a_missing_figure_is_not_checked() -> None:
    assert [check.name for check in verdict.latency_checks({"real_time_factor": 0.1})] == [
        "real_time_factor"
    ]


def test_aim_and_must_are_apart() -> None:
    check = verdict.latency_checks({"real_time_factor": 0.1})[0]
    assert check.must_met
    assert not check.aim_met


def test_controls_have_a_verdict_of_their_own() -> None:
    found = verdict.control_checks(
        {"control": {"idea": {"to_sound_s": {"p99": 0.2}}}, "deadline_misses": 0, "underruns": 1}
    )
    assert [check.must_met for check in found] == [True, True, False]
    assert not verdict.passed(found)


def test_the_verdict_in_words() -> None:
    checks = [
        {"name": "a", "value": 1.0, "must": 2.0, "aim": 1.5},
        {"name": "b", "value": 2.0, "must": 2.0, "aim": 1.5},
        {"name": "c", "value": 3.0, "must": 2.0, "aim": 1.5},
    ]
    *lines, last = verdict.verdict_lines({"passed": False, "checks": checks})
    assert [line.split("  ")[-1].strip() for line in lines] == ["aim met", "kept", "MISSED"]
    assert last == "a budget is missed"
