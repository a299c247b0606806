"""The listener's half of `perpetuo.v1`, without IO: messages in, and what to make of them out.

    message    event          then
    hello      Reply          send it: our hello, with codec and token
    packet     Heard          new audio; one whose audio is known already is nothing
    error      raises         RefusedError, where it answers our hello
    other      Told           the message's fields

docs/protocol.md tells what the messages mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.wire.messages import encode
from engine.wire.packets import HEADER_BYTES, VERSION, Codec, PacketHeader

HELLO_ID = "hello"


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this text; the server has said hello, with these fields."""

    text: str
    hello: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """New audio: its header and what follows the header.

    `missed_samples` of the same epoch lie between it and what was heard before. `anew`: it
    belongs to another epoch than that, or to the first.
    """

    header: PacketHeader
    payload: bytes
    missed_samples: int
    anew: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Any other message."""

    fields: Mapping[str, Any]


Event = Reply | Heard | Told


class RefusedError(Exception):
    """The server does not feed us: its typed error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """One listener, over all the connections it may need."""

    def __init__(self, codec: Codec, token: str | None = None) -> None:
        self._codec = codec
        self._token = token
        self._epoch: int | None = None
        self._expected = 0

    def receive(self, message: str | bytes) -> Event | None:
        """What one message means, None where it brings nothing new.

        ValueError if it is no message of this protocol, RefusedError if there will be no feed.
        """
        if isinstance(message, bytes):
            return self._hear(message)
        fields = json.loads(message)
        match fields:
            case {"type": "hello"}:
                return Reply(self._hello(), fields)
            case {"type": "error", "id": "hello"}:
                raise RefusedError(str(fields.get("code")), str(fields.get("message")))
            case {"type": str()}:
                return Told(fields)
        raise ValueError("a message is a JSON object with a text field type")

    def _hello(self) -> str:
        token = {} if self._token is None else {"token": self._token}
        codec = self._codec.label
        return encode("hello", id=HELLO_ID, protocol=VERSION, codec=codec, **token)

    def _hear(self, packet: bytes) -> Heard | None:
        header = PacketHeader.unpack(packet)
        end = header.position + header.samples
        anew = header.epoch != self._epoch
        if not anew and end <= self._expected:
            return None
        missed = 0 if anew else max(0, header.position - self._expected)
        self._epoch, self._expected = header.epoch, end
        return Heard(header, packet[HEADER_BYTES:], missed, anew)
