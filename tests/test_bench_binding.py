"""bench.binding: ticks made up for it, through the engine's scheduler."""

from __future__ import annotations

import pytest

from bench.binding import Cost, RingRun, play_ring
from engine.runner import COVER_S
from engine.scheduler import MARGIN_S
from engine.spec import LadderSpec

LADDER = LadderSpec(10, 1, (6, 4, 2))
CHUNK_S = 0.32


def ring(costs: list[Cost], ring_s: float = 0.6) -> RingRun:
    return play_ring(costs, CHUNK_S, LADDER, ring_s)


def test_steady_ticks_are_begun_late_and_never_missed() -> None:
    run = ring([Cost(0.08, 0.02)] * 200)
    assert (run.underruns, run.holds, run.fewer_steps) == (0, 0, 0)
    assert run.lead_s.max == pytest.approx(0.1 + MARGIN_S + COVER_S, abs=1e-3)
    assert run.spare_s.p50 == pytest.approx(MARGIN_S, abs=1e-3)
    assert run.control_to_sound_s == pytest.approx(CHUNK_S + run.lead_s.max, abs=1e-3)


def test_a_larger_ring_bridges_a_stall_that_a_smaller_one_does_not() -> None:
    costs = [Cost(0.08, 0.02)] * 10 + [Cost(0.68, 0.02)] + [Cost(0.08, 0.02)] * 50
    assert ring(costs, 0.4).underruns > 0
    assert ring(costs, 1.2).underruns == 0


def test_what_takes_longer_than_a_chunk_is_made_with_fewer_steps() -> None:
    run = ring([Cost(0.5, 0.02)] * 50)
    assert run.fewer_steps > 40


def test_a_stall_of_many_chunks_is_covered_for_as_often_as_it_takes() -> None:
    assert ring([Cost(0.08, 0.02)] * 20 + [Cost(3.0, 0.02)]).underruns >= 7
