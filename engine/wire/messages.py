"""Text messages of `perpetuo.v1`: JSON objects with a `type`, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.brief import SCALES, TONICS
from engine.wire.packets import PCM_CODECS, VERSION, Codec

MAX_MESSAGE_BYTES = 64 * 1024

CHOICES = {"tonic": TONICS, "scale": SCALES}
"""Controls whose values have names, the first of them 0."""

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


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """One prompt as it travels: words, or the number of a recording the server knows (from 1)."""

    text: str | None
    recording: int | None = None
    weight: float = 1.0

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        named = {"recording": self.recording} if self.text is None else {"text": self.text}
        return {**named, "weight": self.weight}


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
    prompting: Mapping[str, int] | None,
    revision: int,
    position: int,
    codecs: Sequence[Codec] = PCM_CODECS,
    opus: Mapping[str, int] | None = None,
    states: bool = False,
) -> str:
    """The first message of a connection: what plays here and what can be asked of it."""
    return encode(
        "hello",
        protocol=VERSION,
        server=server,
        epoch=epoch,
        token_required=token_required,
        audio=dict(audio),
        codecs=[codec.label for codec in codecs],
        opus=None if opus is None else dict(opus),
        window=dict(window),
        bundle=dict(bundle),
        controls=[dict(control) for control in controls],
        prompting=None if prompting is None else dict(prompting),
        states=states,
        revision=revision,
        position=position,
    )
