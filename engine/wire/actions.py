"""What a session asks of the shell around it, and the answers that the shell gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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
    role: Literal["listener", "performer", "conductor"] = "conductor"
    name: str = ""  # what the listener calls itself


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
class KeepState:
    """Save the musical state under this name, or restore it; answered in the same way."""

    deed: Literal["save", "restore"]
    state: str
    id: MessageId


@dataclass(frozen=True)
class Close:
    """Close the connection with this code, `after_s` from now."""

    code: int
    reason: str
    after_s: float = 0.0


Action = Send | Start | SetControl | SetPrompts | KeepState | Close
Change = SetControl | SetPrompts | KeepState


def acknowledge(done: Change, revision: int, heard_at: int) -> Send:
    """Say that a change is `revision` and sounds from the sample `heard_at` on."""
    fields: dict[str, Any] = {"id": done.id, "name": "prompts"}
    match done:
        case SetControl(name, value):
            fields |= {"name": name, "value": value}
        case KeepState(deed, state):
            fields |= {"name": deed, "state": state}
    return Send(encode("ack", **fields, revision=revision, heard_at=heard_at))


def refuse(done: Change, reason: str, code: str | None = None) -> Send:
    """Say that the engine would not take a change, and why."""
    usual = {SetControl: "bad_control", SetPrompts: "bad_prompt", KeepState: "bad_state"}
    return Send(TypedError(code or usual[type(done)], reason, done.id).encode())
