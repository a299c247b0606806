"""What a session asks of the shell around it, and the answers that the shell gives back."""

from __future__ import annotations

from dataclasses import dataclass

from engine.wire.messages import AskedPrompt, MessageId, TypedError, encode
from engine.wire.packets import Codec


@dataclass(frozen=True)
class Send:
    """Send this text message."""

    text: str


@dataclass(frozen=True)
class Start:
    """Begin to feed audio in this codec."""

    codec: Codec
    id: MessageId


@dataclass(frozen=True)
class SetControl:
    """Set a control: to a number or its name, or None to leave it free.

    The shell answers with `acknowledge`, the value a number by then, or with `refuse`.
    """

    name: str
    value: float | str | None
    id: MessageId


@dataclass(frozen=True)
class SetPrompts:
    """Ask for these prompts instead of those before; answered in the same way."""

    prompts: tuple[AskedPrompt, ...]
    id: MessageId


@dataclass(frozen=True)
class Close:
    """Close the connection with this code, `after_s` from now."""

    code: int
    reason: str
    after_s: float = 0.0


Action = Send | Start | SetControl | SetPrompts | Close


def acknowledge(done: SetControl | SetPrompts, revision: int, heard_at: int) -> Send:
    """Say that a change is `revision` and sounds from the sample `heard_at` on."""
    if isinstance(done, SetControl):
        fields = {"id": done.id, "name": done.name, "value": done.value}
    else:
        fields = {"id": done.id, "name": "prompts"}
    return Send(encode("ack", **fields, revision=revision, heard_at=heard_at))


def refuse(done: SetControl | SetPrompts, reason: str, code: str | None = None) -> Send:
    """Say that the engine would not take a change, and why."""
    usual = "bad_control" if isinstance(done, SetControl) else "bad_prompt"
    return Send(TypedError(code or usual, reason, done.id).encode())
