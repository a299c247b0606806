"""The listener's half of the protocol: every row of its table."""

from __future__ import annotations

import json

import pytest

from engine.wire.client import Client, Heard, RefusedError, Reply, Told
from engine.wire.packets import Codec, PacketHeader


def packet(position: int, *, epoch: int = 1, samples: int = 100) -> bytes:
    header = PacketHeader(
        codec=Codec.OPUS, epoch=epoch, sequence=0, samples=samples, position=position,
        idea_revision=0, hand_revision=0, sample_rate_hz=24000, channels=1,
    )  # fmt: skip
    return header.pack() + b"audio"


def heard(client: Client, message: bytes) -> Heard:
    event = client.receive(message)
    assert isinstance(event, Heard)
    return event


def test_a_hello_is_answered_with_codec_and_token() -> None:
    event = Client(Codec.OPUS, "key").receive('{"type":"hello","epoch":1}')
    assert isinstance(event, Reply) and event.hello["epoch"] == 1
    said = json.loads(event.text)
    assert (said["type"], said["codec"], said["token"]) == ("hello", "opus", "key")
    open_ = Client(Codec.PCM_S16LE).receive('{"type":"hello"}')
    assert isinstance(open_, Reply) and "token" not in json.loads(open_.text)


def test_packets_are_heard_once_and_gaps_are_measured() -> None:
    client = Client(Codec.OPUS)
    first = heard(client, packet(500))
    assert (first.payload, first.anew, first.missed_samples) == (b"audio", True, 0)
    assert not heard(client, packet(600)).anew
    assert client.receive(packet(500)) is None
    assert client.receive(packet(600)) is None
    assert heard(client, packet(750)).missed_samples == 50
    other = heard(client, packet(0, epoch=2))
    assert (other.anew, other.missed_samples) == (True, 0)


def test_an_error_that_answers_the_hello_raises_and_others_are_told() -> None:
    client = Client(Codec.OPUS)
    reply = client.receive('{"type":"hello"}')
    assert isinstance(reply, Reply)
    ours = json.loads(reply.text)["id"]
    refusal = {"type": "error", "code": "bad_codec", "message": "no Opus", "id": ours}
    with pytest.raises(RefusedError, match="no Opus") as raised:
        client.receive(json.dumps(refusal))
    assert raised.value.code == "bad_codec"
    assert client.receive(json.dumps(refusal | {"id": None})) == Told(refusal | {"id": None})
    assert client.receive('{"type":"new"}') == Told({"type": "new"})


@pytest.mark.parametrize("message", [b"", b"PP", "x", "[]", '{"a":1}', "{"])
def test_what_is_no_message_is_a_value_error(message: str | bytes) -> None:
    with pytest.raises(ValueError):
        Client(Codec.OPUS).receive(message)
