import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brief import FAMILIES
from engine.controls import Controls, default_controls, prompting_controls
from engine.errors import ControlError
from engine.spec import LadderSpec

SPECS = default_controls(LadderSpec(10, 1))
ASKED = SPECS + prompting_controls(1024)
PLACE = np.eye(4, dtype=np.float32)[1]


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


# ---- what is asked of the music -----------------------------------------------------------------


def test_optional_controls_are_free_until_they_are_set_and_can_be_freed() -> None:
    controls = Controls(ASKED)
    free = {name for name, value in controls.snapshot().values.items() if value is None}
    assert free == {"bpm", "tonic", "scale", "density", "brightness", *FAMILIES}
    assert controls.snapshot().value("bpm", 77.0) == 77.0
    assert controls.set("bpm", 100) == 1
    assert controls.snapshot().value("bpm", 77.0) == 100.0
    assert controls.set("bpm", None) == 2
    assert controls.snapshot().values["bpm"] is None


@pytest.mark.parametrize("name", ["guidance", "focus", "top_k", "seed"])
def test_other_controls_cannot_be_freed(name: str) -> None:
    with pytest.raises(ControlError, match=f"{name} is None, it takes"):
        Controls(ASKED).set(name, None)


@pytest.mark.parametrize(
    ("name", "text", "number"),
    [("tonic", "A", 9), ("tonic", "c#", 1), ("tonic", "Gb", 6), ("scale", "Minor", 1)],
)
def test_tonic_and_scale_take_names(name: str, text: str, number: float) -> None:
    controls = Controls(ASKED)
    controls.set(name, text)
    assert controls.snapshot().values[name] == number


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("bpm", 0, "bpm is 0, it takes 40 … 220 bpm"),
        ("bpm", 1e9, "bpm is 1000000000.0, it takes 40 … 220 bpm"),
        ("bpm", math.nan, "bpm is nan"),
        ("bpm", "fast", "bpm is 'fast', it takes 40 … 220"),
        ("scale", "lydian", "scale is 'lydian', it takes one of major, minor"),
        ("tonic", "H", "tonic is 'H', it takes one of C, Db"),
        ("tonic", 12, "tonic is 12, it takes whole numbers 0 … 11"),
        ("drums", 0.5, "drums is 0.5, it takes whole numbers 0 … 1"),
        ("top_k", 1025, "top_k is 1025, it takes whole numbers 1 … 1024"),
        ("guidance", 0, "guidance is 0, it takes 1 … 5"),
    ],
)
def test_wishes_that_cannot_be_are_refused(name: str, value: float | str, words: str) -> None:
    controls = Controls(ASKED)
    controls.set("bpm", 99)
    with pytest.raises(ControlError, match=words):
        controls.set(name, value)
    assert controls.snapshot().revision == 1 and controls.snapshot().values["bpm"] == 99


def test_a_prompt_is_a_revision_of_its_own_and_stays() -> None:
    controls = Controls(ASKED)
    place = PLACE.copy()
    assert controls.set_prompt(place) == 1
    place[:] = 0
    assert controls.set("bpm", 90) == 2
    kept = controls.snapshot().prompt
    assert kept is not None and not kept.flags.writeable
    np.testing.assert_array_equal(kept, PLACE)
    assert controls.set_prompt(None) == 3
    assert controls.snapshot().prompt is None
    assert controls.snapshot().values["bpm"] == 90


@pytest.mark.parametrize("wrong", [PLACE * 2, PLACE * np.float32(np.nan), PLACE[None], PLACE * 0])
def test_a_prompt_is_a_direction(wrong: np.ndarray) -> None:
    controls = Controls(ASKED)
    with pytest.raises(ControlError, match="vector of length 1"):
        controls.set_prompt(wrong)
    assert controls.snapshot().revision == 0


def test_prompts_and_controls_of_many_threads_lose_no_revision() -> None:
    controls = Controls(ASKED)
    work = [lambda: controls.set_prompt(PLACE), lambda: controls.set("bpm", 90)] * 2
    threads = [
        threading.Thread(target=lambda do=do: [do() for _ in range(200)]) for do in work
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = controls.snapshot()
    assert now.revision == 800 and now.prompt is not None and now.values["bpm"] == 90
