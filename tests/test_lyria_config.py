"""Every field of Lyria's config: what it sets here, or what is said about it."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from engine.backends import standin
from engine.brief import FAMILIES
from engine.controls import Controls
from engine.wire.lyria_config import FIELDS, KEYS, camel, config_of, read_config, snake

FULL = Controls(standin.bundle(prompting=True).manifest.controls).specs
PLAIN = Controls(standin.bundle().manifest.controls).specs
OTHERS = [family for family in FAMILIES if family not in ("bass", "drums")]


def taken(**config: Any) -> dict[str, float | None]:
    """What a config sets, of which nothing may be said."""
    asked = read_config(config, FULL)
    assert not asked.notes
    return asked.values


def note(controls: Any = FULL, **config: Any) -> str:
    """The one thing said about a config that sets nothing."""
    asked = read_config(config, controls)
    assert not asked.values
    (said,) = asked.notes
    return said


def test_the_fields_and_their_values_are_those_of_the_published_types() -> None:
    assert set(FIELDS) == set(types.LiveMusicGenerationConfig.model_fields)
    assert list(KEYS) == [scale.value for scale in types.Scale][1:]
    for name in FIELDS:
        alias = types.LiveMusicGenerationConfig.model_fields[name].alias
        assert camel(name) == (alias or name)
        assert snake(camel(name)) == name


@pytest.mark.parametrize(
    ("config", "values"),
    [
        ({"temperature": 1.1}, {"focus": 1.1}),
        ({"top_k": 12}, {"top_k": 12.0}),
        ({"top_k": 1000}, {"top_k": 32.0}),  # as many as there are
        ({"seed": 7}, {"seed": 7.0}),
        ({"seed": -957124937}, {"seed": float(-957124937 % 2**31)}),
        ({"guidance": 4.0}, {"guidance": 4.0}),
        ({"bpm": 140}, {"bpm": 140.0}),
        ({"density": 0.0}, {"density": 0.0}),
        ({"brightness": 1}, {"brightness": 1.0}),
        ({"scale": "C_MAJOR_A_MINOR"}, {"tonic": 0.0, "scale": 0.0}),
        ({"scale": "b_flat_major_g_minor"}, {"tonic": 10.0, "scale": 0.0}),
        ({"scale": "SCALE_UNSPECIFIED"}, {}),
        ({"mute_bass": True}, {"bass": 0.0}),
        ({"mute_drums": True, "mute_bass": False}, {"drums": 0.0}),
        ({"music_generation_mode": "QUALITY"}, {}),
        ({"music_generation_mode": "VOCALIZATION"}, {"voices": 1.0}),
        ({"bpm": None, "scale": None}, {}),
    ],
)
def test_a_field_sets_the_control_that_means_the_same(
    config: dict[str, Any], values: dict[str, float]
) -> None:
    assert taken(**config) == values


def test_only_bass_and_drums_forbids_the_others() -> None:
    only = taken(only_bass_and_drums=True)
    assert only == {"bass": 1.0, "drums": 1.0} | dict.fromkeys(OTHERS, 0.0)
    assert taken(only_bass_and_drums=True, mute_bass=True) == only | {"bass": 0.0}


def test_what_would_leave_silence_is_said_and_not_done() -> None:
    asked = read_config(
        dict.fromkeys(("only_bass_and_drums", "mute_bass", "mute_drums"), True), FULL
    )
    assert asked.values == {"bass": 0.0, "drums": 0.0}
    assert "nothing to play" in asked.notes[0]


def test_fields_that_contradict_each_other_are_said() -> None:
    asked = read_config(
        {"music_generation_mode": "VOCALIZATION", "only_bass_and_drums": True}, FULL
    )
    assert asked.values["voices"] == 0.0
    assert "voices" in asked.notes[0]


@pytest.mark.parametrize(
    ("config", "control", "value"),
    [
        ({"temperature": 3.0}, "focus", 2.0),
        ({"guidance": 6.0}, "guidance", 5.0),
        ({"guidance": 0.0}, "guidance", 1.0),
    ],
)
def test_what_lies_beyond_our_range_is_moved_to_its_end_and_said(
    config: dict[str, Any], control: str, value: float
) -> None:
    asked = read_config(config, FULL)
    assert asked.values == {control: value}
    assert f"is set to {value:g}" in asked.notes[0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"bpm": 10_000}, "bpm is 10000, it takes whole numbers 60 … 200"),
        ({"bpm": "fast"}, "bpm is 'fast'"),
        ({"bpm": 90.5}, "bpm is 90.5"),
        ({"bpm": True}, "bpm is True"),
        ({"density": -0.1}, "density is -0.1, it takes 0 … 1"),
        ({"brightness": float("nan")}, "brightness is nan"),
        ({"seed": 2**31}, "seed is 2147483648"),
        ({"top_k": 10**400}, "top_k is 1000"),
        ({"scale": "H_MAJOR"}, "scale is 'H_MAJOR'"),
        ({"scale": [1]}, "scale is [1]"),
        ({"mute_bass": 1}, "mute_bass is 1, it takes true or false"),
        ({"music_generation_mode": "LOUD"}, "music_generation_mode is 'LOUD'"),
        ({"music_generation_mode": "DIVERSITY"}, "no counterpart: raise temperature"),
        ({"loudness": 1}, "not known and ignored: loudness"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_left_out(config: dict[str, Any], said: str) -> None:
    assert said in note(**config)


@pytest.mark.parametrize(
    "config",
    [
        {"top_k": 4}, {"guidance": 3.0}, {"bpm": 90}, {"density": 0.5}, {"brightness": 0.5},
        {"scale": "D_MAJOR_B_MINOR"}, {"mute_bass": True}, {"mute_drums": True},
        {"only_bass_and_drums": True}, {"music_generation_mode": "VOCALIZATION"},
    ],
)  # fmt: skip
def test_a_bundle_without_prompting_says_what_it_has_not(config: dict[str, Any]) -> None:
    (name,) = config
    assert note(PLAIN, **config) == f"{name} has no counterpart in this bundle"


def test_a_bundle_without_prompting_takes_what_it_has() -> None:
    asked = read_config({"temperature": 1.1, "seed": 3}, PLAIN)
    assert asked.values == {"temperature": 1.1, "seed": 3.0}


def test_one_wrong_field_loses_none_of_the_others() -> None:
    asked = read_config({"bpm": "x", "density": 0.5, "scale": "?", "brightness": 0.2}, FULL)
    assert asked.values == {"density": 0.5, "brightness": 0.2}
    assert len(asked.notes) == 2


@pytest.mark.parametrize(
    "config",
    [
        {"scale": "C_MAJOR_A_MINOR", "bpm": 90, "density": 0.25, "seed": 5, "top_k": 8},
        {"mute_bass": True, "mute_drums": True, "guidance": 2.0},
        {"only_bass_and_drums": True, "mute_drums": True, "temperature": 1.5},
        {"music_generation_mode": "VOCALIZATION", "brightness": 0.75},
    ],
)
def test_what_was_set_reads_as_it_was_asked(config: dict[str, Any]) -> None:
    told = config_of(taken(**config))
    assert told == {camel(name): value for name, value in config.items()}
    types.LiveMusicGenerationConfig.model_validate(told)


def test_minor_keys_have_the_name_of_their_scale() -> None:
    assert config_of({"tonic": 9.0, "scale": 1.0})["scale"] == "C_MAJOR_A_MINOR"
    assert config_of({"tonic": 3.0, "scale": 1.0})["scale"] == "G_FLAT_MAJOR_E_FLAT_MINOR"
    assert "scale" not in config_of({"tonic": 2.0, "scale": 2.0})  # D dorian
    assert "scale" not in config_of({"tonic": 2.0, "scale": None})


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
anything = plain | st.lists(plain, max_size=2) | st.just({"bpm": 1})


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), anything, max_size=6))
def test_whatever_is_asked_the_controls_take(config: dict[str, Any]) -> None:
    for specs in (FULL, PLAIN):
        controls = Controls(specs.values())
        controls.update(read_config(config, specs).values)
        config_of(controls.snapshot().values)
