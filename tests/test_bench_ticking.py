"""bench.ticking: the stopwatch on the stand-in, with delays put in on purpose."""

from __future__ import annotations

import pytest

from bench.ticking import GraphClock, Ticks, run_ticks
from engine.backends import standin
from engine.controls import Controls
from engine.generator import Generator
from engine.spec import LadderSpec


def ticked(seconds: float, delay_s: float = 0.0, ladder: LadderSpec | None = None) -> Ticks:
    bundle = standin.bundle()
    backend = standin.StandIn(bundle)
    clock = GraphClock(backend)
    generator = Generator(bundle, clock, ladder=ladder)
    backend.faults.delay_s = delay_s
    return run_ticks(generator, clock, Controls(bundle.manifest.controls), seconds)


def test_every_tick_has_a_cost_its_graphs_and_its_stages() -> None:
    ticks = ticked(2.0)
    assert len(ticks.costs_s) == len(ticks.graphs_s) == 7
    assert set(ticks.stages_s) >= {"passes", "commit", "decode"}
    assert all(len(costs) == 7 for costs in ticks.stages_s.values())
    assert all(
        0.0 < inside <= cost for inside, cost in zip(ticks.graphs_s, ticks.costs_s, strict=True)
    )


def test_time_in_a_graph_is_charged_to_the_graph_and_its_stage() -> None:
    ticks = ticked(1.0, delay_s=0.02)
    assert min(ticks.graphs_s) >= 0.02
    assert min(ticks.stages_s["decode"]) >= 0.02
    assert 0.0 < ticks.overhead_share < 1.0


def test_at_least_one_block_follows_the_cold_one() -> None:
    assert len(ticked(0.0).costs_s) == 2


@pytest.mark.parametrize(("depth", "delay"), [(1, 1), (2, 2), (5, 5)])
def test_an_idea_waits_for_as_many_blocks_as_are_in_flight(depth: int, delay: int) -> None:
    ticks = ticked(8.0, ladder=LadderSpec(10, depth))
    assert ticks.control_delay_ticks
    assert max(ticks.control_delay_ticks) == delay


def test_the_clock_passes_on_what_the_backend_is() -> None:
    bundle = standin.bundle()
    clock = GraphClock(standin.StandIn(bundle))
    assert (clock.name, clock.providers()) == ("standin", ["numpy"])


def test_the_real_time_factor_counts_everything() -> None:
    ticks = Ticks(0.5, prime_s=0.1, costs_s=[0.2, 0.1, 0.1])
    assert ticks.real_time_factor == pytest.approx(0.5 / 1.5)
    assert ticks.first_audio_s == pytest.approx(0.3)
