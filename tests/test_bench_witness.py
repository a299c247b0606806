from __future__ import annotations

import numpy as np
import pytest

from bench.witness import Call, Witness, shapes_of, stage_of, watched_tick
from engine.backends.standin import StandIn, bundle
from engine.controls import Controls
from engine.generator import Generator

SPENT = {"plan": 0.1, "passes": 0.4, "decode": 0.2, "commit": 0.1, "other": 0.1}


@pytest.mark.parametrize(
    ("graph", "after_s", "stage"),
    [("velocity", 0.0, "passes"), ("velocity", 0.45, "passes"), ("language", 0.3, "plan"),
     ("decoder", 0.51, "decode"), ("velocity", 0.71, "commit"), ("semantic", 0.9, "plan")],
)  # fmt: skip
def test_a_run_belongs_to_the_stage_that_it_started_in(
    graph: str, after_s: float, stage: str
) -> None:
    assert stage_of(Call(graph, (), 7.0 + after_s, 0.01), 7.0, SPENT) == stage


def test_every_run_of_a_tick_is_seen_with_its_shapes() -> None:
    own = bundle()
    witness = Witness(StandIn(own))
    generator = Generator(own, witness)
    controls = Controls(own.manifest.controls).snapshot()
    for _ in range(2):
        runs, spent = watched_tick(generator, witness, controls)
    assert len(runs["passes"]) == own.manifest.ladder.steps and len(runs["decode"]) == 1
    assert {call.graph for call in runs["passes"]} == {"velocity"}
    assert "latents" in {name for name, _, _ in runs["decode"][0].shapes}
    assert sum(call.seconds for call in runs["passes"]) <= spent["passes"]
    assert witness.providers() == ["numpy"]


def test_music_is_the_same_when_it_is_watched() -> None:
    own = bundle()
    controls = Controls(own.manifest.controls).snapshot()
    alone = Generator(own, StandIn(own)).tick(controls).audio
    watched = Generator(own, Witness(StandIn(own))).tick(controls).audio
    assert np.array_equal(alone, watched)


def test_shapes_are_ordered_by_name() -> None:
    feeds = {"z": np.zeros((2, 1), np.float32), "a": np.zeros(3, np.int64)}
    assert shapes_of(feeds) == (("a", (3,), "int64"), ("z", (2, 1), "float32"))
