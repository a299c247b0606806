"""`perpetuo.v1`, the native protocol, without IO: one `Session` for each listener.

A session takes what its listener sent and the time, and returns actions for the shell to carry
out. docs/protocol.md tells the same protocol to the people at the other end.

    state      message   actions                                  next state
    GREETING   hello     Start                                    LISTENING
    GREETING   hello     error bad_token, Close 4401 after 1 s    CLOSED
    GREETING   (10 s)    Close 4408                               CLOSED
    GREETING   set       error hello_first                        same
    LISTENING  set       SetControl; the shell answers with
                         `acknowledge` or `refuse`                same
    LISTENING  prompts   SetPrompts, answered in the same way     same
    LISTENING  save      KeepState, answered in the same way      same
    LISTENING  restore   the same                                 same
    both       ping      pong                                     same
    both       unknown   nothing                                  same
    both       garbage   error malformed                          same
    both       > 64 KiB  Close 1009                               CLOSED

A listener over its rate is told `rate_limited` once a second. Meanwhile the newest value of each
control and the newest prompts are kept for `poll` to set; everything else it sends is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from engine.spec import ControlSpec
from engine.wire.actions import Action, Close, KeepState, Send, SetControl, SetPrompts, Start
from engine.wire.limits import TokenBucket
from engine.wire.messages import MAX_MESSAGE_BYTES, MessageId, TypedError, encode
from engine.wire.packets import PCM_CODECS, VERSION, Codec
from engine.wire.requests import (
    parse,
    read_codec,
    read_id,
    read_prompts,
    read_state,
    read_value,
    too_big,
)
from engine.wire.roles import MAX_NAME_CHARS, Tokens

SUBPROTOCOL = "perpetuo.v1"

CLOSE_TOO_BIG = 1009
CLOSE_BAD_TOKEN = 4401
CLOSE_BAD_VERSION = 4406
CLOSE_NO_HELLO = 4408


@dataclass(frozen=True)
class Limits:
    """What one listener may ask for; the defaults suit a hand on a fader."""

    messages_hz: float = 60.0
    burst: float = 120.0
    hello_s: float = 10.0
    bad_token_s: float = 1.0
    notice_s: float = 1.0


class _State(Enum):
    GREETING = "greeting"
    LISTENING = "listening"
    CLOSED = "closed"


class Session:
    """One listener, from its first message to its last. Not thread-safe."""

    def __init__(
        self,
        *,
        opened_s: float,
        controls: Mapping[str, ControlSpec],
        recordings: int | None = None,
        token: str | None = None,
        tokens: Tokens | None = None,
        limits: Limits | None = None,
        codecs: Collection[Codec] = PCM_CODECS,
        states: bool = False,
    ) -> None:
        """A connection opened at `opened_s` that may set `controls`, if it knows `token`.

        `tokens` are those of the roles, where there are any.

        `recordings` is how many recordings a prompt may name; None where nothing takes prompts.
        `codecs` are those that this server can feed it; `states` says whether it keeps musical
        states.
        """
        self._opened_s = opened_s
        self._controls = controls
        self._recordings = recordings
        self._tokens = tokens or Tokens(token)
        self._limits = limits or Limits()
        self._codecs = codecs
        self._states = states
        self._state = _State.GREETING
        self._bucket = TokenBucket(self._limits.messages_hz, self._limits.burst)
        self._parked: dict[str | None, SetControl | SetPrompts] = {}  # None: the prompts
        self._noticed_s: float | None = None
        self.limited = False
        """True while this listener sends more than it may: read it slowly."""

    def receive(self, message: str | bytes, now_s: float) -> list[Action]:
        """What to do about one message; never raises, whatever it holds."""
        if self._state is _State.CLOSED:
            return []
        if too_big(message):
            return [self._close(CLOSE_TOO_BIG, f"a message ends at {MAX_MESSAGE_BYTES} bytes")]
        try:
            if not self._bucket.take(now_s):
                return self._over_rate(message, now_s)
            fields = parse(message)
            return self._dispatch(fields, read_id(fields))
        except TypedError as refusal:
            return [Send(refusal.encode())]

    def poll(self, now_s: float) -> list[Action]:
        """What the passing of time asks for; call it a few times a second."""
        if self._state is _State.GREETING and now_s - self._opened_s > self._limits.hello_s:
            return [self._close(CLOSE_NO_HELLO, f"no hello within {self._limits.hello_s:g} s")]
        actions: list[Action] = []
        while self._parked and self._bucket.take(now_s):
            actions.append(self._parked.pop(next(iter(self._parked))))
        self.limited = bool(self._parked)
        return actions

    def _dispatch(self, fields: Mapping[str, Any], message_id: MessageId) -> list[Action]:
        match fields["type"]:
            case "hello":
                return self._hello(fields, message_id)
            case "set" | "prompts":
                return [self._change(fields, message_id)]
            case "save" | "restore" as deed:
                return [self._keep(deed, fields, message_id)]
            case "ping":
                return [Send(encode("pong", id=message_id))]
            case _:
                return []

    def _hello(self, fields: Mapping[str, Any], message_id: MessageId) -> list[Action]:
        if self._state is _State.LISTENING:
            raise TypedError("already_started", "a connection begins with one hello", message_id)
        role = self._tokens.role(fields.get("token"))
        if role is None:
            wrong = TypedError("bad_token", "this feed asks for a token; ask its owner", message_id)
            close = self._close(CLOSE_BAD_TOKEN, "bad token", self._limits.bad_token_s)
            return [Send(wrong.encode()), close]
        if fields.get("protocol", VERSION) != VERSION:
            wrong = TypedError("bad_version", f"this server speaks protocol {VERSION}", message_id)
            return [Send(wrong.encode()), self._close(CLOSE_BAD_VERSION, "unknown protocol")]
        codec = read_codec(fields, self._codecs, message_id)
        self._state = _State.LISTENING
        name = str(fields.get("name") or "")[:MAX_NAME_CHARS]
        return [Start(codec, message_id, role, name)]

    def _change(self, fields: Mapping[str, Any], message_id: MessageId) -> SetControl | SetPrompts:
        if self._state is _State.GREETING:
            raise TypedError("hello_first", "say hello before setting anything", message_id)
        if fields["type"] == "set":
            return self._set_control(fields, message_id)
        if self._recordings is None:
            raise TypedError("no_prompting", "this bundle takes no prompts", message_id)
        return SetPrompts(read_prompts(fields, self._recordings, message_id), message_id)

    def _keep(
        self, deed: Literal["save", "restore"], fields: Mapping[str, Any], message_id: MessageId
    ) -> KeepState:
        if self._state is _State.GREETING:
            raise TypedError("hello_first", "say hello before saving anything", message_id)
        if not self._states:
            cure = "this server keeps no states; it does with --states FOLDER"
            raise TypedError("no_states", cure, message_id)
        return KeepState(deed, read_state(fields, message_id), message_id)

    def _set_control(self, fields: Mapping[str, Any], message_id: MessageId) -> SetControl:
        name = fields.get("name")
        if not isinstance(name, str) or name not in self._controls:
            known = ", ".join(sorted(self._controls))
            raise TypedError(
                "bad_control", f"no control of that name; there are {known}", message_id
            )
        value = read_value(fields, self._controls[name], message_id)
        return SetControl(name, value, message_id)

    def _over_rate(self, message: str | bytes, now_s: float) -> list[Action]:
        self.limited = True
        message_id: MessageId = None
        with suppress(TypedError):
            fields = parse(message)
            message_id = read_id(fields)
            if fields["type"] in ("set", "prompts"):
                self._park(self._change(fields, message_id))
        if self._noticed_s is not None and now_s - self._noticed_s < self._limits.notice_s:
            return []
        self._noticed_s = now_s
        rate = f"over {self._limits.messages_hz:g} messages a second"
        text = f"{rate}: the newest of each control and of the prompts is kept"
        return [Send(TypedError("rate_limited", text, message_id).encode())]

    def _park(self, wanted: SetControl | SetPrompts) -> None:
        name = wanted.name if isinstance(wanted, SetControl) else None
        self._parked.pop(name, None)
        self._parked[name] = wanted

    def _close(self, code: int, reason: str, after_s: float = 0.0) -> Close:
        self._state = _State.CLOSED
        self._parked.clear()
        return Close(code, reason, after_s)
