"""bench.timing: tails and lateness, against cases worked by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.timing import Lateness, Tail, paced_lateness

costs = st.lists(st.floats(0.0, 2.0), min_size=1, max_size=40)


def test_tail_of_a_known_distribution() -> None:
    tail = Tail.of([float(value) for value in range(1001)])
    found = (tail.p50, tail.p90, tail.p99, tail.p999, tail.max)
    assert found == pytest.approx((500, 900, 990, 999, 1000))
    assert tail.count == 1001
    assert tail.mean == 500


def test_tail_of_nothing_is_nan() -> None:
    assert Tail.of([]).count == 0
    assert math.isnan(Tail.of([]).p99)


def test_a_stall_is_charged_to_every_block_it_holds_up() -> None:
    lateness = paced_lateness([0.1, 3.1, 0.5, 0.5, 0.5, 0.5, 0.5], chunk_s=1.0)
    assert lateness.late_s == pytest.approx((-0.9, 2.1, 1.6, 1.1, 0.6, 0.1, -0.4))
    assert lateness.misses == 5
    assert lateness.longest_run == 5


def test_longest_run_ends_at_a_block_in_time() -> None:
    assert Lateness((0.1, -0.1, 0.1, 0.2, -0.1, 0.1), 1.0).longest_run == 2


@settings(max_examples=50, deadline=None)
@given(costs)
def test_the_histogram_holds_every_block(costs_s: list[float]) -> None:
    lateness = paced_lateness(costs_s, chunk_s=0.5)
    assert sum(count for _, _, count in lateness.histogram()) == len(costs_s)


@settings(max_examples=50, deadline=None)
@given(costs)
def test_no_tick_longer_than_a_chunk_means_no_miss(costs_s: list[float]) -> None:
    assert paced_lateness(costs_s, chunk_s=2.0001).misses == 0
