"""What a listener asks for: what is taken, and refusals that name the field and its range."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import prompts
from engine.brief import SCALES, TONICS
from engine.spec import ControlSpec
from engine.wire import requests
from engine.wire.messages import AskedPrompt, TypedError
from engine.wire.requests import read_prompts, read_value

GAIN = ControlSpec("gain_db", "hand", -60.0, 6.0, 0.0, "dB")
BPM = ControlSpec("bpm", "idea", 40.0, 220.0, 120.0, "bpm", optional=True)
TONIC = ControlSpec("tonic", "idea", 0.0, 11.0, 0.0, "", whole=True, optional=True)


def refusal(prompts: object, recordings: int = 0) -> str:
    with pytest.raises(TypedError) as error:
        read_prompts({"prompts": prompts}, recordings, 3)
    assert (error.value.code, error.value.message_id) == ("bad_prompt", 3)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200
    return str(error.value)


def test_prompts_may_be_words_of_any_script_and_weigh_what_they_like() -> None:
    for text in ("a", "x" * 1000, "🎷🎶 jazz", "موسيقى هادئة", "no drums"):
        for weight in (1e-9, 1, 100):
            wanted = {"prompts": [{"text": text, "weight": weight, "colour": "red"}]}
            assert read_prompts(wanted, 0, None) == (AskedPrompt(text, None, float(weight)),)


@pytest.mark.parametrize("text", ["", "  \n", None, 7, ["a"], "x" * 1001, "x" * 10_000])
def test_a_text_has_1_to_1000_characters(text: object) -> None:
    said = refusal([{"text": "pads"}, {"text": text}])
    assert said.startswith("prompts[1].text is ")
    assert "1 … 1000 characters" in said


@pytest.mark.parametrize(
    "weight", ["0", "-1", "100.5", "1e999", "-1e999", f"1{'0' * 400}", "true", '"1"', "null", "[]"]
)
def test_a_weight_is_above_0_and_at_most_100(weight: str) -> None:
    said = refusal([{"text": "pads", "weight": json.loads(weight)}])
    assert said.startswith("prompts[0].weight is ")
    assert "above 0, at most 100" in said
    assert "above 0" in refusal([{"text": "pads", "weight": float("nan")}])


@pytest.mark.parametrize("wanted", [None, "pads", {"text": "pads"}, [{"text": "pads"}] * 17])
def test_there_are_at_most_16_prompts_in_a_list(wanted: object) -> None:
    assert "it takes a list of at most 16" in refusal(wanted)


def test_a_prompt_is_an_object() -> None:
    assert refusal(["pads"]) == "prompts[0] is not an object with a text and a weight"


def test_a_recording_goes_by_its_number() -> None:
    wanted = {"prompts": [{"recording": 2, "weight": 3}]}
    assert read_prompts(wanted, 2, None) == (AskedPrompt(None, 2, 3.0),)
    for number in (0, 3, True, "1", None, 1.0):
        assert "whole numbers 1 … 2" in refusal([{"recording": number}], recordings=2)
    assert "there are none here" in refusal([{"recording": 1}])


def test_prompts_travel_as_they_were_asked_for() -> None:
    fields: list[dict[str, Any]] = [
        {"text": "pads", "weight": 1.0},
        {"recording": 1, "weight": 0.5},
    ]
    assert [asked.fields() for asked in read_prompts({"prompts": fields}, 1, None)] == fields


def test_the_limits_are_those_of_the_engine() -> None:
    own = (requests.MAX_PROMPTS, requests.MAX_PROMPT_CHARS, requests.MAX_WEIGHT)
    assert own == (prompts.MOST_PROMPTS, prompts.MOST_CHARACTERS, prompts.MOST_WEIGHT)


def test_values_are_numbers_names_or_null() -> None:
    assert read_value({"value": True}, GAIN, None) == 1.0
    assert read_value({"value": None}, BPM, None) is None
    assert read_value({"value": "Bb"}, TONIC, None) == "Bb"  # the engine knows which it is


@pytest.mark.parametrize(
    ("fields", "control", "words"),
    [
        ({"value": None}, GAIN, "gain_db takes a number, or true or false"),
        ({"value": "A"}, BPM, "or null to leave it free"),
        ({}, BPM, "bpm takes a number"),
        ({"value": []}, TONIC, ", ".join(TONICS)),
    ],
)
def test_other_values_are_refused(
    fields: dict[str, object], control: ControlSpec, words: str
) -> None:
    with pytest.raises(TypedError) as error:
        read_value(fields, control, 9)
    assert (error.value.code, error.value.message_id) == ("bad_control", 9)
    assert words in str(error.value)
    assert not set(SCALES) & set(str(error.value).split())
