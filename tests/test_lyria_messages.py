"""Lyria's messages: what is read of a client's, and that the published types take ours."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.genai import types

from engine.wire.lyria_messages import (
    REVISIONS,
    Sources,
    audio_chunk,
    filtered_prompt,
    parse,
    read_prompts,
    setup_complete,
    warning,
)
from engine.wire.messages import AskedPrompt, TypedError


def weighted(*prompts: Any) -> dict[str, Any]:
    return {"weightedPrompts": list(prompts)}


def served(message: str) -> types.LiveMusicServerMessage:
    """As the published client reads it."""
    return types.LiveMusicServerMessage._from_response(response=json.loads(message), kwargs={})


def test_a_message_is_its_one_field_in_either_spelling() -> None:
    assert parse('{"clientContent": {"a": 1}}') == ("client_content", {"a": 1})
    assert parse(b'{"playback_control": "PLAY"}') == ("playback_control", "PLAY")
    assert parse('{"setup": {}, "later": 1}') == ("setup", {})


@pytest.mark.parametrize(
    "message",
    ["", "x", "[]", "3", "{}", '{"other": 1}', '{"setup": NaN}', "[" * 100_000, b"\xff\xfe\xff",
     '{"setup": {}, "playbackControl": "PLAY"}'],
)  # fmt: skip
def test_what_is_no_message_is_malformed(message: str | bytes) -> None:
    with pytest.raises(TypedError) as refusal:
        parse(message)
    assert refusal.value.code == "malformed"
    assert "\n" not in str(refusal.value)


def test_the_heaviest_prompt_weighs_1() -> None:
    found = read_prompts(
        weighted({"text": "pads", "weight": 500}, {"text": "bass", "weight": 125.0}, {"text": "x"})
    )
    assert found == (
        AskedPrompt("pads", None, 1.0), AskedPrompt("bass", None, 0.25),
        AskedPrompt("x", None, 0.002),
    )  # fmt: skip


def test_weightless_prompts_are_left_out() -> None:
    found = read_prompts(weighted({"text": "a", "weight": 0}, {"text": "b", "weight": 2}))
    assert found == (AskedPrompt("b", None, 1.0),)
    assert read_prompts(weighted()) == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "client_content is None"),
        ({}, "not a list"),
        (weighted(*[{"text": "a"}] * 17), "17 long"),
        (weighted({"text": "a", "weight": 0.0}), "all weights are 0"),
        (weighted({"text": "a"}, 3), "weighted_prompts[1] is 3"),
        (weighted({"text": ""}), "weighted_prompts[0].text is 0 characters long"),
        (weighted({"text": "x" * 1001}), "1001 characters long"),
        (weighted({"text": None}), "text is None"),
        (weighted({"text": "a", "weight": -1}), "weight is -1, it takes a number ≥ 0"),
        (weighted({"text": "a", "weight": "1"}), "weight is '1'"),
        (weighted({"text": "a", "weight": True}), "weight is True"),
        (weighted({"text": "a", "weight": float("inf")}), "weight is inf"),
    ],
)
def test_bad_prompts_are_named(content: Any, said: str) -> None:
    with pytest.raises(TypedError) as refusal:
        read_prompts(content)
    assert refusal.value.code == "bad_prompt"
    assert said in str(refusal.value)


def test_the_published_types_take_what_we_send() -> None:
    assert served(setup_complete()).setup_complete is not None
    filtered = served(filtered_prompt("qwertz", "unknown")).filtered_prompt
    assert filtered is not None
    assert (filtered.text, filtered.filtered_reason) == ("qwertz", "unknown")
    assert json.loads(warning("bad_config", "bpm is 3")) == {"warning": "bad_config: bpm is 3"}
    assert served(warning("bad_config", "bpm is 3")) == types.LiveMusicServerMessage()


def test_a_chunk_is_little_endian_pcm_with_its_source() -> None:
    audio = np.array([[0.0, 1.0], [-1.0, 2.0]], np.float32)
    source = {"clientContent": weighted({"text": "pads", "weight": 1.0})}
    content = served(audio_chunk(audio, source)).server_content
    assert content is not None and content.audio_chunks is not None
    (chunk,) = content.audio_chunks
    assert chunk.mime_type == "audio/l16;rate=48000;channels=2"
    assert chunk.data is not None and chunk.source_metadata is not None
    assert np.frombuffer(chunk.data, "<i2").tolist() == [0, 32767, -32767, 32767]
    assert chunk.source_metadata.client_content == types.LiveMusicClientContent(
        weighted_prompts=[types.WeightedPrompt(text="pads", weight=1.0)]
    )


def test_sources_are_found_by_revision() -> None:
    sources = Sources()
    assert sources.at(5) == {}
    sources.note(2, (), {"bpm": 100.0})
    sources.note(4, (AskedPrompt("pads"), AskedPrompt(None, 1, 0.5)), {"bpm": 90.0})
    sources.note(4, (), {})  # no news
    assert sources.at(0) == sources.at(3)
    assert sources.at(3)["musicGenerationConfig"] == {"bpm": 100}
    assert sources.at(9)["clientContent"] == weighted(
        {"text": "pads", "weight": 1.0}, {"text": "recording 1", "weight": 0.5}
    )


def test_old_sources_are_forgotten() -> None:
    sources = Sources()
    for revision in range(3 * REVISIONS):
        sources.note(revision, (), {"bpm": float(revision)})
    assert sources.at(0)["musicGenerationConfig"] == {"bpm": 2 * REVISIONS}
    assert sources.at(3 * REVISIONS)["musicGenerationConfig"] == {"bpm": 3 * REVISIONS - 1}


def test_where_nobody_asks_only_the_present_is_remembered() -> None:
    sources = Sources()
    for revision in range(9):
        sources.note(revision, (), {"bpm": float(revision)}, wanted=False)
    assert sources.at(0) == sources.at(8)
    sources.note(9, (), {"bpm": 9.0})
    assert sources.at(8)["musicGenerationConfig"] == {"bpm": 8}
