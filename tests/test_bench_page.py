"""bench.page: one whole page of a report, with nothing from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bench import latency
from bench.page import number, page, table
from bench.report import plain


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    words = ["--backend", "standin", "--seconds", "3", "--offline"]
    found = latency.measure(latency.parser().parse_args(words))
    return dict(json.loads(json.dumps(plain(found))))


def test_the_page_has_verdict_histogram_and_timeline(report: dict[str, Any]) -> None:
    made = page(report)
    assert made.count("<svg") == 2
    for check in report["verdict"]["checks"]:
        assert check["name"] in made
    for words in ("Verdict", "p99.9", "deadline misses", "Underruns against ring size", "memory"):
        assert words in made


def test_it_asks_no_other_host_for_anything(report: dict[str, Any]) -> None:
    made = page(report)
    assert not re.search(r"(src|href|url|@import|https?:)", made)
    assert "<script" not in made


def test_what_is_measured_cannot_break_the_page(report: dict[str, Any]) -> None:
    made = page({**report, "revision": "<script>alert(1)</script>"})
    assert "<script" not in made


def test_real_time_is_shown_where_it_was_measured(report: dict[str, Any]) -> None:
    tail = {name: 1.0 for name in ("p50", "p90", "p99", "p999", "max")}
    both = dict.fromkeys(
        ("seconds", "underruns", "deadline_misses", "holds", "ring_s", "lead_s", "margin_s",
         "least_spare_s", "memory_start_mb", "memory_end_mb"), 7
    )  # fmt: skip
    sink = {**both, "gap_ms": tail, "late_ms": tail}
    live = {**both, "feed_gap_ms": tail, "feed_lateness_ms": tail, "control_to_sound_s": tail}
    assert "In real time" not in page(report)
    made = page({**report, "sink": sink, "live": live})
    assert "WebSocket client: packet gap" in made
    assert '<td class="">1000</td>' in made


def test_tables_and_numbers_are_for_people() -> None:
    assert [number(value) for value in (None, "x", 3, 0.12345, 123.456, 1e-4)] == [
        "–", "x", "3", "0.123", "123.5", "0.0001",
    ]  # fmt: skip
    assert '<td class="bad">MISSED</td>' in table(("a",), [("MISSED",)])
