"""docs/protocol.md and docs/protocol.schema.json tell of the messages that are really sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from schema import faults
from serving import PROTOCOLS, packets, playing_live, playing_tape, say, text
from websockets.asyncio.client import connect

from engine.wire.native import Limits

DOCS = Path(__file__).parent.parent / "docs"
SCHEMA = json.loads((DOCS / "protocol.schema.json").read_text())


def wrong(side: str, message: object) -> list[str]:
    return faults(message, SCHEMA["$defs"][side], SCHEMA)


ASKED: list[dict[str, Any]] = [
    {"type": "hello", "protocol": 1, "codec": "pcm_f32le", "token": None},
    {"type": "set", "id": 1, "name": "gain_db", "value": -6},
    {"type": "set", "id": "b", "name": "bpm", "value": 92.5},
    {"type": "set", "id": 3, "name": "bpm", "value": None},
    {"type": "set", "id": 4, "name": "tonic", "value": "Bb"},
    {"type": "set", "id": 5, "name": "gain_db", "value": 99},
    {"type": "prompts", "id": 6, "prompts": [{"text": "slow pads"}, {"text": "bass", "weight": 2}]},
    {"type": "prompts", "id": 7, "prompts": []},
    {"type": "ping", "id": 8},
    {"type": "hello", "id": 9},
]


async def test_real_messages_fit_the_schema() -> None:
    told: list[dict[str, Any]] = []
    async with playing_live(prompting=True, packet_s=0.02, state_s=0.05) as server:
        url = f"ws://127.0.0.1:{server.port}/feed"
        async with connect(url, subprotocols=PROTOCOLS) as listener:
            told.append(json.loads(await listener.recv()))
            for message in ASKED:
                assert not wrong("listener", message)
                await say(listener, **message)
            while {"state", "prompts", "pong"} - {message["type"] for message in told}:
                told.append(await text(listener, *TYPES))
            await packets(listener, 30)
            told += [await text(listener, "state") for _ in range(3)]
    assert [message for message in told if wrong("server", message)] == []
    assert {message["type"] for message in told} >= {"hello", "start", "ack", "error", "prompts"}
    assert any(message.get("chunk") and message["rungs"] for message in told)


TYPES = ("start", "ack", "error", "prompts", "state", "pong")


async def test_errors_fit_the_schema() -> None:
    told: list[dict[str, Any]] = []
    async with (
        playing_tape(limits=Limits(messages_hz=1.0, burst=4.0)) as tape,
        connect(tape.url, subprotocols=PROTOCOLS) as listener,
    ):
        told.append(json.loads(await listener.recv()))
        for said in (
            "{",
            '{"type":"set"}',
            '{"type":"hello","id":[]}',
            '{"type":"hello"}',
            "x",
        ):
            await listener.send(said)
            told.append(await text(listener, "error", "start"))
    assert [message for message in told if wrong("server", message)] == []
    codes = [message.get("code") for message in told[1:]]
    assert codes == ["malformed", "hello_first", "bad_id", None, "rate_limited"]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "prompts", "prompts": [{"text": ""}]},
        {"type": "prompts", "prompts": [{"text": "x" * 1001}]},
        {"type": "prompts", "prompts": [{"text": "pads", "weight": 0}]},
        {"type": "prompts", "prompts": [{"text": "pads"}] * 17},
        {"type": "prompts"},
        {"type": "set", "name": "bpm"},
        {"type": "ping", "id": 2**53},
        {"type": "ping", "id": "x" * 65},
    ],
)
def test_the_schema_refuses_what_the_server_refuses(message: dict[str, Any]) -> None:
    assert wrong("listener", message)


def test_every_message_and_error_code_is_explained() -> None:
    page = (DOCS / "protocol.md").read_text()
    for name, schema in SCHEMA["$defs"].items():
        side, _, kind = name.partition("_")
        if side in ("listener", "server") and kind:
            assert re.search(
                rf"^(\*\*{kind}\*\*|\| `{kind}` \|)|`{kind}` with the same", page, re.M
            )
            for field in schema["properties"]:
                assert f"`{field}`" in page, (name, field)
    for code in SCHEMA["$defs"]["server_error"]["properties"]["code"]["enum"]:
        assert f"`{code}`" in page


def test_the_check_finds_what_is_wrong() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert faults({"a": 1}, schema, {}) == []
    for value in ({"a": True}, {"a": 1, "b": 2}, {}, []):
        assert len(faults(value, schema, {})) == 1
