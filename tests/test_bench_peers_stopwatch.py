from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.peers import stopwatch
from bench.peers.stopwatch import DECODER, Decoder, Task, repeat

TASK = Task(seconds=2.0, threads=1, patience_s=1e9, bundle=Path())


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.runs = 0
        monkeypatch.setattr(stopwatch, "perf_counter", lambda: self.now_s)

    def work(self, seconds: float) -> None:
        self.now_s += seconds
        self.runs += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_every_run_is_timed_but_the_warm_ones(clock: Clock) -> None:
    costs = iter([9.0, 1.0, 2.0, 3.0])
    assert repeat(lambda: clock.work(next(costs)), 1e9, most=3) == [1.0, 2.0, 3.0]


def test_patience_ends_the_repetitions_and_counts_the_warm_one(clock: Clock) -> None:
    assert repeat(lambda: clock.work(2.0), 7.0) == [2.0, 2.0]
    assert clock.runs == 3


def test_the_least_is_run_whatever_it_takes(clock: Clock) -> None:
    assert repeat(lambda: clock.work(100.0), 1.0, least=2, warm=0) == [100.0, 100.0]


def decoder(clock: Clock, **changed: Any) -> Decoder:
    """A frame of 10 ms takes 1 ms."""
    fields = dict(name="d", what="", rate_hz=1000, frame_samples=10, million_parameters=1.0)
    return Decoder(decode=lambda frames: clock.work(1e-3 * frames), **{**fields, **changed})


def test_a_decoder_is_given_a_chunk_at_a_time_and_then_all_of_it(clock: Clock) -> None:
    row = decoder(clock).measured(TASK, loaded_mb=5.0)
    assert row.kind == DECODER and row.steered_units is None and row.loaded_mb == 5.0
    assert row.unit_s == pytest.approx(0.32)
    assert row.first_audio_s[:3] == [pytest.approx(0.032)] * 3
    assert row.real_time_factors == [pytest.approx(0.1)] * 20


def test_a_decoder_with_a_buffer_of_its_own_is_given_that(clock: Clock) -> None:
    row = decoder(clock, unit_frames=1).measured(TASK, loaded_mb=5.0)
    assert row.unit_s == pytest.approx(0.01) and row.unit_costs_s[0] == pytest.approx(1e-3)
