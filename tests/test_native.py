"""The native protocol: every row of its table, and no exception for anything sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.spec import ControlSpec
from engine.wire.actions import Action, Close, Send, SetControl, SetPrompts, Start
from engine.wire.messages import AskedPrompt, server_hello
from engine.wire.native import Limits, Session
from engine.wire.packets import PCM_CODECS, Codec

CONTROLS = {
    "gain_db": ControlSpec("gain_db", "hand", -60.0, 6.0, 0.0, "dB"),
    "seed": ControlSpec("seed", "idea", 0.0, 2.0**31 - 1, 0.0, "", whole=True),
    "bpm": ControlSpec("bpm", "idea", 40.0, 220.0, 120.0, "bpm", optional=True),
}


def session(
    token: str | None = None, limits: Limits | None = None, recordings: int | None = None
) -> Session:
    return Session(
        opened_s=0.0, controls=CONTROLS, recordings=recordings, token=token, limits=limits
    )


def listening(limits: Limits | None = None, recordings: int | None = 0) -> Session:
    opened = session(limits=limits, recordings=recordings)
    assert say(opened, type="hello") == [Start(Codec.PCM_S16LE, None)]
    return opened


def say(to: Session, now_s: float = 0.0, **fields: Any) -> list[Action]:
    return to.receive(json.dumps(fields), now_s)


def errors(actions: list[Action]) -> list[dict[str, Any]]:
    messages = [json.loads(action.text) for action in actions if isinstance(action, Send)]
    return [message for message in messages if message["type"] == "error"]


def only_error(actions: list[Action]) -> tuple[str, Any]:
    (found,) = errors(actions)
    assert found["message"]
    return found["code"], found["id"]


def test_hello_starts_the_feed_in_the_codec_it_asks_for() -> None:
    assert say(session(), type="hello", codec="pcm_f32le", id=1) == [Start(Codec.PCM_F32LE, 1)]


def test_an_unknown_codec_may_be_corrected() -> None:
    opened = session()
    assert only_error(say(opened, type="hello", codec="mp3", id=1)) == ("bad_codec", 1)
    assert say(opened, type="hello", id=2) == [Start(Codec.PCM_S16LE, 2)]
    assert only_error(say(opened, type="hello", id=3)) == ("already_started", 3)


def test_opus_is_fed_where_it_is_offered_and_else_the_cure_is_named() -> None:
    offering = Session(opened_s=0.0, controls=CONTROLS, codecs=(*PCM_CODECS, Codec.OPUS))
    assert say(offering, type="hello", codec="opus", id=1) == [Start(Codec.OPUS, 1)]
    without = session()
    (refusal,) = errors(say(without, type="hello", codec="opus", id=1))
    assert refusal["code"] == "bad_codec" and "pip install 'perpetuo[opus]'" in refusal["message"]
    assert say(without, type="hello", codec="pcm_s16le", id=2) == [Start(Codec.PCM_S16LE, 2)]


def test_a_wrong_token_is_told_and_closed_after_a_second() -> None:
    for fields in ({}, {"token": "wrong"}, {"token": 7}, {"token": "\ud800"}):
        opened = session(token="right")
        told, close = say(opened, type="hello", **fields)
        assert only_error([told]) == ("bad_token", None)
        assert isinstance(close, Close)
        assert (close.code, close.after_s) == (4401, 1.0)
        assert say(opened, type="hello", token="right") == []


def test_the_right_token_opens() -> None:
    assert say(session(token="right"), type="hello", token="right") == [
        Start(Codec.PCM_S16LE, None)
    ]


def test_another_protocol_version_is_refused() -> None:
    told, close = say(session(), type="hello", protocol=2)
    assert only_error([told])[0] == "bad_version"
    assert isinstance(close, Close)


def test_who_says_no_hello_is_closed() -> None:
    silent = session()
    assert silent.poll(9.9) == []
    (close,) = silent.poll(10.1)
    assert isinstance(close, Close)
    assert close.code == 4408
    assert listening().poll(60.0) == []


def test_a_control_is_set_and_set_free() -> None:
    opened = listening()
    said = say(opened, type="set", id="a", name="gain_db", value=-6)
    assert said == [SetControl("gain_db", -6.0, "a")]
    said = say(opened, type="set", id="b", name="bpm", value=None)
    assert said == [SetControl("bpm", None, "b")]


def test_prompts_are_asked_for() -> None:
    wanted = [{"text": "slow pads"}, {"text": "bass", "weight": 2}]
    said = say(listening(), type="prompts", id=7, prompts=wanted)
    assert said == [SetPrompts((AskedPrompt("slow pads"), AskedPrompt("bass", None, 2.0)), 7)]
    assert say(listening(), type="prompts", prompts=[]) == [SetPrompts((), None)]
    refused = say(listening(), type="prompts", id=8, prompts=[{"text": ""}])
    assert only_error(refused) == ("bad_prompt", 8)


def test_who_cannot_be_prompted_says_so() -> None:
    for opened, code in ((listening(recordings=None), "no_prompting"), (session(), "hello_first")):
        assert only_error(say(opened, type="prompts", id=1, prompts=[])) == (code, 1)


@pytest.mark.parametrize("value", [None, "loud", [1], {}, 10**400])
def test_a_value_that_is_no_number_names_its_message(value: object) -> None:
    said = say(listening(), type="set", id=9, name="gain_db", value=value)
    assert only_error(said) == ("bad_control", 9)


def test_unknown_controls_and_early_controls_are_refused() -> None:
    assert only_error(say(listening(), type="set", id=1, name="nope", value=1)) == (
        "bad_control",
        1,
    )
    assert only_error(say(session(), type="set", id=1, name="seed", value=1)) == ("hello_first", 1)


def test_unknown_types_are_ignored_and_pings_answered() -> None:
    opened = session()
    assert say(opened, type="from the future", id=1) == []
    assert say(opened, type="ping", id=5) == [Send('{"type":"pong","id":5}')]


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "7", '{"type":1}', '{"type":"set","value":NaN}']
)
def test_what_is_no_message_is_told(message: str) -> None:
    assert only_error(listening().receive(message, 0.0)) == ("malformed", None)


def test_binary_deep_and_large_messages() -> None:
    assert only_error(listening().receive(b"\x00\xff", 0.0))[0] == "malformed"
    assert only_error(listening().receive("[" * 60_000, 0.0))[0] == "malformed"
    for message in ("x" * 70_000, b"x" * 70_000, "é" * 40_000):
        opened = listening()
        (close,) = opened.receive(message, 0.0)
        assert isinstance(close, Close)
        assert close.code == 1009
        assert opened.receive("{}", 0.0) == []


@pytest.mark.parametrize("message_id", [True, 1.5, [], {}, "x" * 65, 2**53])
def test_an_id_that_is_none_is_refused(message_id: object) -> None:
    assert only_error(say(listening(), type="ping", id=message_id)) == ("bad_id", None)


def test_in_a_flood_the_newest_value_of_each_control_wins() -> None:
    opened = listening(Limits(messages_hz=10.0, burst=5.0))
    actions: list[Action] = []
    for number in range(1000):
        actions += say(opened, id=number, type="set", name="seed", value=number)
    actions += say(opened, id="g", type="set", name="gain_db", value=-3)
    assert opened.limited
    told = errors(actions)
    assert [(error["code"], error["id"]) for error in told] == [("rate_limited", 4)]
    assert len([action for action in actions if isinstance(action, SetControl)]) == 4
    assert opened.poll(1.0) == [SetControl("seed", 999.0, 999), SetControl("gain_db", -3.0, "g")]
    assert not opened.limited


def test_in_a_flood_the_newest_prompts_win() -> None:
    opened = listening(Limits(messages_hz=10.0, burst=2.0))
    for number in range(100):
        say(opened, id=number, type="prompts", prompts=[{"text": f"pads {number}"}])
    say(opened, id="bad", type="prompts", prompts=[{"text": "", "weight": 0}])
    assert opened.poll(1.0) == [SetPrompts((AskedPrompt("pads 99"),), 99)]


def test_a_long_flood_is_told_once_a_second() -> None:
    opened = listening(Limits(messages_hz=10.0, burst=5.0))
    told = 0
    for tick in range(10_000):
        told += len(errors(opened.receive("garbage", tick / 1000)))
    assert told <= 5 + 10 * 10 + 11


PROMPT = st.none() | st.fixed_dictionaries(
    {}, optional={"text": st.text() | st.integers(), "weight": st.floats() | st.text(),
                  "recording": st.integers() | st.none()},
)  # fmt: skip
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["hello", "set", "prompts", "ping", "?"]) | st.none()},
    optional={
        "id": st.none() | st.integers() | st.text() | st.lists(st.integers()),
        "name": st.sampled_from(["seed", "gain_db", "bpm"]) | st.text() | st.integers(),
        "prompts": st.lists(PROMPT, max_size=18) | st.integers(),
        "value": st.floats() | st.integers() | st.booleans() | st.text(),
        "codec": st.sampled_from(["pcm_s16le"]) | st.text() | st.integers(),
        "token": st.text() | st.integers(),
        "protocol": st.integers() | st.text(),
    },
)
MESSAGE = st.binary() | st.text() | st.builds(json.dumps, FIELDS)


@settings(max_examples=200, deadline=None)
@given(messages=st.lists(st.tuples(MESSAGE, st.floats(-1, 5)), max_size=12), token=st.booleans())
def test_nothing_a_listener_sends_raises(
    messages: list[tuple[str | bytes, float]], token: bool
) -> None:
    opened = session("secret" if token else None, Limits(messages_hz=2.0, burst=3.0), 1)
    for message, now_s in messages:
        for action in [*opened.receive(message, now_s), *opened.poll(now_s)]:
            if isinstance(action, Send):
                assert json.loads(action.text)["type"] in {"error", "pong"}
            if isinstance(action, SetControl):
                assert not token
                assert action.name in CONTROLS
            if isinstance(action, SetPrompts):
                assert len(action.prompts) <= 16
                assert all(0 < prompt.weight <= 100 for prompt in action.prompts)


def test_the_server_hello_is_json_and_names_the_codecs() -> None:
    said = server_hello(
        server="perpetuo 0",
        epoch=1,
        token_required=False,
        audio={"sample_rate_hz": 24000},
        window={"chunks": 20},
        bundle={"name": "live"},
        controls=[{"name": "seed"}],
        prompting={"prompts": 16},
        revision=0,
        position=0,
    )
    hello = json.loads(said)
    assert hello["type"] == "hello"
    assert hello["codecs"] == ["pcm_s16le", "pcm_f32le"]
    assert hello["opus"] is None
