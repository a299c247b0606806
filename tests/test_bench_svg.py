"""bench.svg: pictures that are well-formed, with a mark for everything that was measured."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.svg import histogram, ticks_of, timeline
from bench.timing import Lateness


def classes(picture: str) -> list[str]:
    return [rect.get("class") or "" for rect in ElementTree.fromstring(picture).iter("rect")]


def bins_of(*late_s: float) -> list[list[float | None]]:
    """As in the JSON: open ends are null."""
    return [
        [None if abs(edge) == float("inf") else edge for edge in row[:2]] + [row[2]]
        for row in Lateness(late_s, 1.0).histogram()
    ]


def test_the_histogram_shows_all_bins_from_the_earliest_to_the_latest() -> None:
    picture = histogram(bins_of(-0.93, -0.92, 0.3), 0.32)
    assert "-304 to -288 ms: 2 blocks" in picture
    assert "80 to 160 ms: 1 blocks" in picture
    found = classes(picture)
    assert found.count("early") + found.count("late") == len(found)
    assert found[0] == "early" and found[-1] == "late"
    assert ">due</text>" in picture


def test_open_ends_are_drawn_and_nothing_is_not() -> None:
    assert "… to -320 ms: 1 blocks" in histogram(bins_of(-1.5), 0.32)
    assert "1280 to … ms: 1 blocks" in histogram(bins_of(9.0), 0.32)
    assert histogram(bins_of(), 0.32) == ""


def test_the_timeline_has_a_block_for_every_stage_and_run() -> None:
    tick = {
        "tick_ms": 10.0,
        "stages": [
            {"name": "passes", "from_ms": 0.0, "to_ms": 8.0},
            {"name": "a < b", "from_ms": 8.0, "to_ms": 9.9},
        ],
        "graphs": [{"name": "velocity", "from_ms": 1.0, "to_ms": 2.5}],
    }
    picture = timeline(tick)
    assert classes(picture) == ["stage0", "stage1", "graph"]
    assert "velocity: 1.500 ms" in picture
    assert "a &lt; b 1.9" in picture


@pytest.mark.parametrize(
    ("whole", "ticks"),
    [
        (106.0, [0, 20, 40, 60, 80, 100]),
        (1.96, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8]),
        (5.0, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_an_axis_counts_in_round_numbers(whole: float, ticks: list[float]) -> None:
    assert ticks_of(whole) == ticks


@given(st.floats(0.001, 1e5))
def test_an_axis_has_enough_numbers_and_not_too_many(whole: float) -> None:
    assert 6 <= len(ticks_of(whole)) <= 13
