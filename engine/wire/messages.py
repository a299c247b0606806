"""Text messages of `perpetuo.v1`: JSON objects with a `type`, read with distrust."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from engine.wire.packets import VERSION, Codec

MAX_MESSAGE_BYTES = 64 * 1024
MAX_ID_CHARS = 64

MessageId = str | int | None


class TypedError(Exception):
    """A typed error: its code, words for people, and the id of the message that caused it."""

    def __init__(self, code: str, message: str, message_id: MessageId = None) -> None:
        super().__init__(message)
        self.code = code
        self.message_id = message_id

    def encode(self) -> str:
        """The error message that goes back to whoever sent the culprit."""
        return encode("error", code=self.code, message=str(self), id=self.message_id)


def encode(kind: str, **fields: Any) -> str:
    """A message of the server: a JSON object with its type first, in ASCII."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), allow_nan=False)


def server_hello(
    *,
    server: str,
    epoch: int,
    token_required: bool,
    audio: Mapping[str, int],
    window: Mapping[str, int],
    bundle: Mapping[str, str],
    controls: Sequence[Mapping[str, Any]],
    revision: int,
    position: int,
) -> str:
    """The first message of a connection: what plays here and what can be asked of it."""
    return encode(
        "hello",
        protocol=VERSION,
        server=server,
        epoch=epoch,
        token_required=token_required,
        audio=dict(audio),
        codecs=[codec.label for codec in Codec],
        window=dict(window),
        bundle=dict(bundle),
        controls=[dict(control) for control in controls],
        revision=revision,
        position=position,
    )


def too_big(message: str | bytes) -> bool:
    """True if a message exceeds 64 KiB of UTF-8."""
    if len(message) > MAX_MESSAGE_BYTES or isinstance(message, bytes):
        return len(message) > MAX_MESSAGE_BYTES
    return len(message.encode(errors="surrogatepass")) > MAX_MESSAGE_BYTES


def parse(message: str | bytes) -> dict[str, Any]:
    """The fields of a listener's message; TypedError `malformed` if it is not one."""
    if isinstance(message, bytes):
        raise TypedError("malformed", "listeners send text messages, not binary ones")
    try:
        fields = json.loads(message, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as reason:
        raise TypedError("malformed", f"not JSON: {str(reason)[:120]}") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise TypedError("malformed", 'a message is a JSON object with a text field "type"')
    return fields


def read_id(fields: Mapping[str, Any]) -> MessageId:
    """The id of a message, None if it has none; TypedError `bad_id` if it cannot be one."""
    message_id = fields.get("id")
    if message_id is None or (isinstance(message_id, str) and len(message_id) <= MAX_ID_CHARS):
        return message_id
    if type(message_id) is int and abs(message_id) < 2**53:
        return message_id
    raise TypedError("bad_id", f"an id is a whole number or a text of up to {MAX_ID_CHARS} signs")


def read_codec(fields: Mapping[str, Any], message_id: MessageId) -> Codec:
    """The codec a hello asks for, s16 if it names none; TypedError `bad_codec` if unknown."""
    try:
        return Codec.from_label(str(fields.get("codec", Codec.PCM_S16LE.label)))
    except KeyError:
        known = ", ".join(codec.label for codec in Codec)
        raise TypedError("bad_codec", f"no such codec; there are {known}", message_id) from None


def read_value(fields: Mapping[str, Any], message_id: MessageId) -> float:
    """The value of a control, with true as 1 and false as 0; TypedError `bad_control` otherwise."""
    value = fields.get("value")
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            pass
    raise TypedError("bad_control", "a control takes a number, or true or false", message_id)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
