"""bench.timeline: a tick of the stand-in in time."""

from __future__ import annotations

import pytest

from bench.timeline import stage_spans, watch_ticks
from engine.backends import standin


def test_stages_follow_one_another() -> None:
    plan, passes = stage_spans({"plan": 0.002, "passes": 0.05})
    assert (plan.name, plan.from_ms, plan.to_ms) == ("plan", 0.0, 2.0)
    assert (passes.from_ms, passes.to_ms) == (2.0, pytest.approx(52.0))


def test_a_tick_shows_every_run_of_its_graphs() -> None:
    bundle = standin.bundle()
    tick = watch_ticks(bundle, standin.StandIn(bundle))
    names = [span.name for span in tick.graphs]
    assert names == ["velocity"] * 10 + ["decoder"]  # ten passes
    assert all(0.0 <= span.from_ms <= span.to_ms <= tick.tick_ms for span in tick.graphs)
    assert tick.stages[-1].to_ms <= tick.tick_ms
