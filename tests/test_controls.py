import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import Controls, default_controls
from engine.errors import ControlError
from engine.spec import LadderSpec

SPECS = default_controls(LadderSpec(10, 1))


def test_defaults_are_revision_zero() -> None:
    snapshot = Controls(SPECS).snapshot()
    assert snapshot.revision == 0
    assert dict(snapshot.values) == {spec.name: spec.default for spec in SPECS}


def test_every_change_has_a_revision_and_old_snapshots_stay() -> None:
    controls = Controls(SPECS)
    before = controls.snapshot()
    assert controls.set("gain_db", -6) == 1
    assert controls.update({"seed": 5, "steps": 4}) == 2
    assert before.values["gain_db"] == 0
    assert controls.snapshot().values["gain_db"] == -6
    assert controls.snapshot().values["steps"] == 4


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gain_db", math.nan, r"gain_db is nan, it takes -60 … 6 dB"),
        ("gain_db", 7, r"gain_db is 7, it takes -60 … 6 dB"),
        ("gain_db", "loud", "gain_db is 'loud'"),
        ("gain_db", None, "gain_db is None"),
        ("seed", 1.5, "whole numbers 0"),
        ("seed", math.inf, "seed is inf"),
        ("reverb", 1, "no control 'reverb'; there are: gain_db, mute"),
    ],
)
def test_a_refusal_names_field_and_range(name: str, value: float, words: str) -> None:
    controls = Controls(SPECS)
    controls.set("gain_db", -3)
    with pytest.raises(ControlError, match=words):
        controls.set(name, value)
    assert controls.snapshot().values["gain_db"] == -3
    assert controls.snapshot().revision == 1


def test_several_are_set_together_or_not_at_all() -> None:
    controls = Controls(SPECS)
    with pytest.raises(ControlError):
        controls.update({"gain_db": -3, "steps": 0})
    assert controls.snapshot().revision == 0
    assert controls.snapshot().values["gain_db"] == 0


@given(st.sampled_from([spec.name for spec in SPECS]), st.floats() | st.integers())
def test_values_are_always_inside_their_range(name: str, value: float) -> None:
    controls = Controls(SPECS)
    try:
        controls.set(name, value)
    except ControlError as error:
        assert name in str(error)
    found, spec = controls.snapshot().values[name], controls.specs[name]
    assert spec.minimum <= found <= spec.maximum
    assert not spec.whole or found == round(found)


def test_hands_act_at_the_sink_and_ideas_on_the_next_chunk() -> None:
    latency = {spec.name: spec.latency for spec in SPECS}
    assert latency["panic"] == latency["gain_db"] == "sink"
    assert latency["seed"] == latency["temperature"] == "chunk"


def test_every_step_count_fits_its_ladder() -> None:
    for ladder in (LadderSpec(10, 1), LadderSpec(10, 10), LadderSpec(2, 2)):
        spec = Controls(default_controls(ladder)).specs["steps"]
        assert spec.minimum <= spec.default == ladder.steps <= spec.maximum


def test_many_threads_lose_no_revision() -> None:
    controls = Controls(SPECS)
    threads = [
        threading.Thread(target=lambda: [controls.set("seed", n) for n in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controls.snapshot().revision == 800
