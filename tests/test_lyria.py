"""Lyria's protocol: every row of its table, and no exception for anything sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends import standin
from engine.controls import Controls
from engine.wire.actions import Close, Send, SetPrompts
from engine.wire.lyria import Configure, LyriaAction, LyriaSession, Play, StartAnew
from engine.wire.messages import AskedPrompt
from engine.wire.native import Limits

CONTROLS = Controls(standin.bundle(prompting=True).manifest.controls).specs
SETUP = {"model": "models/lyria-realtime-exp"}
PADS = {"weightedPrompts": [{"text": "pads", "weight": 1.0}]}


def session(**options: Any) -> LyriaSession:
    return LyriaSession(
        opened_s=0.0, controls=CONTROLS, **{"prompting": True, "resets": True, **options}
    )


def opened(**options: Any) -> LyriaSession:
    made = session(**options)
    assert say(made, setup=SETUP) == [Send('{"setupComplete":{}}')]
    return made


def say(to: LyriaSession, now_s: float = 0.0, **fields: Any) -> list[LyriaAction]:
    return to.receive(json.dumps(fields), now_s)


def warned(actions: list[LyriaAction]) -> str:
    """The code of the one warning."""
    (action,) = [action for action in actions if isinstance(action, Send)]
    text: str = json.loads(action.text)["warning"]
    assert "\n" not in text
    return text.partition(":")[0]


# ---- setup ----------------------------------------------------------------------------------


def test_a_setup_is_completed_once() -> None:
    made = opened()
    assert warned(say(made, setup=SETUP)) == "already_started"


@pytest.mark.parametrize(
    "early",
    [{"clientContent": PADS}, {"musicGenerationConfig": {"bpm": 90}}, {"playbackControl": "PLAY"}],
)
def test_nothing_comes_before_the_setup(early: dict[str, Any]) -> None:
    made = session()
    assert warned(say(made, **early)) == "setup_first"
    assert not made.playing


@pytest.mark.parametrize("key", [None, "", "wrong", "ключ", "\udcff"])
def test_a_wrong_token_is_closed_after_a_second(key: str | None) -> None:
    made = session(token="right", key=key)
    (close,) = say(made, setup=SETUP)
    assert isinstance(close, Close)
    assert (close.code, close.after_s) == (4401, 1.0)
    assert say(made, playbackControl="PLAY") == []


def test_the_token_is_the_api_key() -> None:
    assert say(session(token="right", key="right"), setup=SETUP) == [Send('{"setupComplete":{}}')]


def test_who_sends_no_setup_is_closed_after_ten_seconds() -> None:
    made = session()
    assert made.poll(9.0) == []
    (close,) = made.poll(10.5)
    assert isinstance(close, Close) and close.code == 4408
    assert opened().poll(1000.0) == []


# ---- playback -------------------------------------------------------------------------------


def test_play_pause_and_stop() -> None:
    made = opened()
    assert not made.playing
    assert say(made, playbackControl="PLAY") == [Play()]
    assert made.playing
    assert say(made, playbackControl="PLAY") == []
    assert say(made, playbackControl="PAUSE") == []
    assert not made.playing
    assert say(made, playback_control="play") == [Play()]
    assert say(made, playbackControl="STOP") == [StartAnew(if_alone=True)]
    assert not made.playing
    assert say(made, playbackControl="STOP") == []


def test_reset_context_starts_anew_and_plays_on() -> None:
    made = opened()
    say(made, playbackControl="PLAY")
    assert say(made, playbackControl="RESET_CONTEXT") == [StartAnew()]
    assert made.playing


def test_where_the_music_cannot_start_anew_it_says_so() -> None:
    made = opened(resets=False)
    say(made, playbackControl="PLAY")
    assert warned(say(made, playbackControl="RESET_CONTEXT")) == "no_reset"
    assert made.playing
    assert say(made, playbackControl="STOP") == []


@pytest.mark.parametrize("value", ["PLAYBACK_CONTROL_UNSPECIFIED", "LOUDER", 3, None, ["PLAY"]])
def test_an_unknown_playback_control_changes_nothing(value: Any) -> None:
    made = opened()
    say(made, playbackControl="PLAY")
    assert warned(say(made, playbackControl=value)) == "bad_playback"
    assert made.playing


# ---- prompts and config ---------------------------------------------------------------------


def test_prompts_are_asked_for() -> None:
    assert say(opened(), clientContent=PADS) == [SetPrompts((AskedPrompt("pads"),), None)]
    assert warned(say(opened(), clientContent={})) == "bad_prompt"
    assert warned(say(opened(prompting=False), clientContent=PADS)) == "no_prompting"


def test_a_config_sets_controls() -> None:
    config = {"bpm": 90, "topK": 5, "muteBass": True, "scale": "D_MAJOR_B_MINOR"}
    expected = {"bpm": 90.0, "top_k": 5.0, "bass": 0.0, "tonic": 2.0, "scale": 0.0}
    assert say(opened(), musicGenerationConfig=config) == [Configure(expected)]


def test_a_config_takes_the_place_of_the_one_before() -> None:
    made = opened()
    say(made, musicGenerationConfig={"bpm": 90, "guidance": 4.0, "seed": 3})
    assert say(made, musicGenerationConfig={"density": 0.5}) == [
        Configure({"bpm": None, "guidance": 2.5, "density": 0.5})
    ]
    assert say(made, musicGenerationConfig={}) == [Configure({"density": None})]
    assert say(made, musicGenerationConfig={}) == []


def test_what_is_wrong_with_a_config_is_one_line_beside_what_is_taken() -> None:
    taken, said = say(opened(), musicGenerationConfig={"bpm": "x", "scale": "?", "density": 0.5})
    assert taken == Configure({"density": 0.5})
    assert warned([said]) == "bad_config"
    assert warned(say(opened(), musicGenerationConfig=[])) == "bad_config"


# ---- limits ---------------------------------------------------------------------------------


def test_too_many_messages_are_said_once_a_second_and_the_newest_is_kept() -> None:
    made = opened(limits=Limits(messages_hz=1.0, burst=2.0))
    say(made, playbackControl="PLAY")
    said = [say(made, musicGenerationConfig={"bpm": 60 + k}) for k in range(50)]
    assert warned(said[0]) == "rate_limited"
    assert not any(said[1:])
    assert made.limited
    assert say(made, playbackControl="STOP") == say(made, clientContent=PADS) == []
    for value in range(1000):
        say(made, playbackControl=f"NONE{value}")
    kept = [action for second in range(1, 10) for action in made.poll(float(second))]
    assert kept == [
        Configure({"bpm": 109.0}), StartAnew(if_alone=True),
        SetPrompts((AskedPrompt("pads"),), None),
    ]  # fmt: skip
    assert not made.limited


def test_what_was_kept_may_still_be_refused() -> None:
    made = opened(limits=Limits(messages_hz=1.0, burst=1.0))
    say(made, clientContent={})
    assert warned(made.poll(5.0)) == "bad_prompt"


def test_an_oversized_message_closes() -> None:
    (close,) = opened().receive("x" * 70_000, 0.0)
    assert isinstance(close, Close) and close.code == 1009


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
inner = (
    plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(max_size=2), plain, max_size=2)
)
kinds = st.sampled_from(["setup", "clientContent", "musicGenerationConfig", "playbackControl", "x"])
sent = (
    st.text(max_size=8)
    | st.binary(max_size=8)
    | st.dictionaries(kinds, inner, max_size=2).map(json.dumps)
    | inner.map(json.dumps)
)


@given(st.lists(sent, max_size=3))
def test_whatever_is_sent_is_answered(messages: list[str | bytes]) -> None:
    made = opened()
    for message in messages:
        made.receive(message, 0.0)
    made.poll(1.0)
    assert say(made, playbackControl="RESET_CONTEXT") == [StartAnew()]
