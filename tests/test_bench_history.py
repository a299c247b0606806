"""bench.history: a line a run, behind those that are there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import history
from engine.errors import UsageError

REPORT = {
    "benchmark": "latency", "revision": "abc",
    "bundle": {"name": "live", "hash": "0123456789abcdef"},
    "machine": {"processor": "one", "cores": 2}, "backend": "ort", "real_time_factor": 0.2,
    "tick_ms": {"p50": 80.0, "p99": None}, "verdict": {"passed": True},
}  # fmt: skip


def test_an_entry_says_when_what_and_where() -> None:
    entry = history.entry(REPORT, datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC))
    assert entry["date"] == "2026-11-21T12:00:00+00:00"
    assert (entry["revision"], entry["bundle"], entry["passed"]) == (
        "abc",
        "live 0123456789ab",
        True,
    )
    assert entry["figures"] == {"real_time_factor": 0.2, "tick_ms.p50": 80.0}


def test_runs_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for revision in ("a", "b"):
        history.append(path, {**REPORT, "revision": revision})
    lines = path.read_text().splitlines()
    assert [json.loads(line)["revision"] for line in lines] == ["a", "b"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--history .*none.*can be written$"):
        history.append(tmp_path / "none" / "file", REPORT)
