"""bench.compare: exit codes, bounds, and files that are no report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import compare
from engine.errors import UsageError


def report(**figures: Any) -> dict[str, Any]:
    return {"real_time_factor": 0.1, "deadline_misses": 0, "tick_ms": {"p99": 50.0}, **figures}


def saved(folder: Path, name: str, content: dict[str, Any], noise: str = "") -> str:
    path = folder / name
    path.write_text(noise + json.dumps(content))
    return str(path)


@pytest.mark.parametrize(
    ("figures", "code"),
    [
        ({}, 0),
        ({"real_time_factor": 0.11}, 0),
        ({"real_time_factor": 0.13}, 1),
        ({"real_time_factor": 0.05}, 0),
        ({"deadline_misses": 1}, 1),
        ({"tick_ms": {"p99": 70.0}}, 1),
        ({"tick_ms": {"p99": float("nan")}}, 0),
    ],
)
def test_exit_code(tmp_path: Path, figures: dict[str, Any], code: int) -> None:
    before = saved(tmp_path, "a.json", report())
    after = saved(tmp_path, "b.json", report(**figures), noise="a line of text before\n")
    assert compare.main([before, after]) == code


def test_a_wider_bound_forgives(tmp_path: Path) -> None:
    before = saved(tmp_path, "a.json", report())
    after = saved(tmp_path, "b.json", report(real_time_factor=0.13))
    assert compare.main([before, after, "--bound", "0.5"]) == 0


def test_more_is_better_where_it_is() -> None:
    found = compare.changes(
        {"autoencoder": {"held_out": {"si_sdr_db": 6.0, "mel_error_db": 3.0}}},
        {"autoencoder": {"held_out": {"si_sdr_db": 4.0, "mel_error_db": 2.0}}},
        bound=0.15,
    )
    assert {change.name.rsplit(".", 1)[-1]: change.worse for change in found} == {
        "si_sdr_db": True,
        "mel_error_db": False,
    }


def test_a_figure_that_one_run_lacks_is_named() -> None:
    notes = compare.differences(report(), report(tick_ms={"p99": None}, cold_first_chunk_s=0.1))
    assert notes == ["not in B: tick_ms.p99", "not in A: cold_first_chunk_s"]


@pytest.mark.parametrize("bound", ["nan", "-1", "much"])
def test_a_bound_that_is_none_is_refused(tmp_path: Path, bound: str) -> None:
    path = saved(tmp_path, "a.json", report())
    with pytest.raises(UsageError, match="is no number from 0 to 100"):
        compare.main([path, path, "--bound", bound])


def test_another_machine_is_named() -> None:
    notes = compare.differences({"machine": "one"}, {"machine": "two"})
    assert notes == ["the runs differ in machine: one against two"]


@pytest.mark.parametrize("content", ["", "no json", "[1, 2]", '{"unknown": 1}'])
def test_no_report_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"^[^\n]+$"):
        compare.main([saved(tmp_path, "a.json", report()), str(path)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file"):
        compare.main([str(tmp_path / "none.json"), str(tmp_path / "none.json")])
