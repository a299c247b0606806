"""Lyria RealTime's protocol, without IO: one `LyriaSession` for each client.

A session takes what its client sent and the time, and returns actions for the shell to carry out.
The music is one stream for all: a client plays, pauses and stops its own hearing of it, and
steers the music of everybody. docs/lyria.md tells this to the people at the other end.

    state     message                    actions                                next state
    OPENED    setup                      setupComplete                          STOPPED
    OPENED    setup, wrong token         Close 4401 after 1 s                   CLOSED
    OPENED    (10 s)                     Close 4408                             CLOSED
    OPENED    anything else              warning setup_first                    same
    others    setup                      warning already_started                same
    others    client_content             SetPrompts                             same
    others    music_generation_config    Configure, warning bad_config          same
    STOPPED   PLAY                       Play                                   PLAYING
    PAUSED    PLAY                       Play                                   PLAYING
    others    PAUSE                      nothing                                PAUSED
    others    STOP                       StartAnew, if nobody else listens      STOPPED
    others    RESET_CONTEXT              StartAnew                              same
    all       garbage                    warning malformed                      same
    all       > 64 KiB                   Close 1009                             CLOSED

A client over its rate is warned `rate_limited` once a second. Meanwhile the newest prompts, the
newest config and the newest of each playback control are kept for `poll` to carry out.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from engine.spec import ControlSpec
from engine.wire.actions import Close, Send, SetPrompts
from engine.wire.limits import TokenBucket
from engine.wire.lyria_config import Values, read_config
from engine.wire.lyria_messages import fields_of, parse, read_prompts, setup_complete, warning
from engine.wire.messages import MAX_MESSAGE_BYTES, TypedError
from engine.wire.native import CLOSE_BAD_TOKEN, CLOSE_NO_HELLO, CLOSE_TOO_BIG, Limits
from engine.wire.requests import too_big

PLAYBACK = ("PLAY", "PAUSE", "STOP", "RESET_CONTEXT")
PARKED = ("client_content", "music_generation_config", *PLAYBACK)
"""What is kept while there are too many messages, the newest of each."""


@dataclass(frozen=True)
class Configure:
    """Set these controls in one revision; None leaves one free."""

    values: Values


@dataclass(frozen=True)
class Play:
    """Feed this client from now on."""


@dataclass(frozen=True)
class StartAnew:
    """Have the music forget what was played; `if_alone`: only where nobody else listens."""

    if_alone: bool = False


LyriaAction = Send | Close | SetPrompts | Configure | Play | StartAnew


class _State(Enum):
    OPENED = "opened"
    STOPPED = "stopped"
    PLAYING = "playing"
    PAUSED = "paused"
    CLOSED = "closed"


class LyriaSession:
    """One client, from its setup to its last message. Not thread-safe."""

    def __init__(
        self, *, opened_s: float, controls: Mapping[str, ControlSpec], prompting: bool = False,
        resets: bool = False, token: str | None = None, key: str | None = None,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """A connection opened at `opened_s` whose API key, `key`, must be the `token` if any.

        `prompting`: whether prompts are taken here; `resets`: whether the music can start anew.
        """
        self._opened_s = opened_s
        self._controls = controls
        self._prompting = prompting
        self._resets = resets
        self._admitted = token is None or _same(key or "", token)
        self._limits = limits or Limits()
        self._bucket = TokenBucket(self._limits.messages_hz, self._limits.burst)
        self._state = _State.OPENED
        self._asked: set[str] = set()  # controls that the last config set
        self._parked: dict[str, tuple[str, Any]] = {}
        self._noticed_s: float | None = None
        self.limited = False
        """True while this client sends more than it may: read it slowly."""

    @property
    def playing(self) -> bool:
        """True while the client is to be fed."""
        return self._state is _State.PLAYING

    def receive(self, message: str | bytes, now_s: float) -> list[LyriaAction]:
        """What to do about one message; never raises, whatever it holds."""
        if self._state is _State.CLOSED:
            return []
        if too_big(message):
            return [self._close(CLOSE_TOO_BIG, f"a message ends at {MAX_MESSAGE_BYTES} bytes")]
        try:
            if not self._bucket.take(now_s):
                return self._over_rate(message, now_s)
            return self._dispatch(*parse(message))
        except TypedError as refusal:
            return [_warn(refusal)]

    def poll(self, now_s: float) -> list[LyriaAction]:
        """What the passing of time asks for; call it a few times a second."""
        if self._state is _State.OPENED and now_s - self._opened_s > self._limits.hello_s:
            return [self._close(CLOSE_NO_HELLO, f"no setup within {self._limits.hello_s:g} s")]
        actions: list[LyriaAction] = []
        while self._parked and self._bucket.take(now_s):
            kind, value = self._parked.pop(next(iter(self._parked)))
            try:
                actions += self._dispatch(kind, value)
            except TypedError as refusal:
                actions.append(_warn(refusal))
        self.limited = bool(self._parked)
        return actions

    # ---- one message ------------------------------------------------------------------------

    def _dispatch(self, kind: str, value: object) -> list[LyriaAction]:
        if kind == "setup":
            return [self._setup()]
        if self._state is _State.OPENED:
            raise TypedError("setup_first", "a connection begins with a setup")
        if kind == "client_content":
            return [self._prompts(value)]
        if kind == "music_generation_config":
            return self._configure(value)
        return self._playback(value)

    def _setup(self) -> LyriaAction:
        if self._state is not _State.OPENED:
            raise TypedError("already_started", "a connection begins with one setup")
        if not self._admitted:
            reason = "bad token: it goes where the API key goes; ask the owner of this feed"
            return self._close(CLOSE_BAD_TOKEN, reason, self._limits.bad_token_s)
        self._state = _State.STOPPED
        return Send(setup_complete())

    def _prompts(self, value: object) -> LyriaAction:
        if not self._prompting:
            raise TypedError("no_prompting", "this bundle takes no prompts")
        return SetPrompts(read_prompts(value), None)

    def _configure(self, value: object) -> list[LyriaAction]:
        """A config takes the place of the one before: what that asked is free again."""
        config = fields_of(value, "music_generation_config", "bad_config")
        asked = read_config(config, self._controls)
        dropped = self._asked - set(asked.values) - {"seed"}
        values = {name: self._unasked(name) for name in sorted(dropped)} | asked.values
        self._asked = set(asked.values)
        actions: list[LyriaAction] = [Configure(values)] if values else []
        if asked.notes:
            actions.append(Send(warning("bad_config", "; ".join(asked.notes))))
        return actions

    def _unasked(self, name: str) -> float | None:
        spec = self._controls[name]
        return None if spec.optional else spec.default

    def _playback(self, value: object) -> list[LyriaAction]:
        control = str(value).upper()
        if control not in PLAYBACK:
            takes = ", ".join(PLAYBACK)
            raise TypedError("bad_playback", f"playback_control is {value!r:.40}, it takes {takes}")
        if control == "RESET_CONTEXT":
            if not self._resets:
                raise TypedError("no_reset", "RESET_CONTEXT is not to be had here; music goes on")
            return [StartAnew()]
        before, self._state = self._state, _STATES[control]
        if control == "STOP":
            return [StartAnew(if_alone=True)] if self._resets and before is not self._state else []
        return [Play()] if self.playing and before is not self._state else []

    # ---- too many messages ------------------------------------------------------------------

    def _over_rate(self, message: str | bytes, now_s: float) -> list[LyriaAction]:
        self.limited = True
        with suppress(TypedError):
            kind, value = parse(message)
            name = str(value).upper() if kind == "playback_control" else kind
            if name in PARKED:
                self._parked.pop(name, None)
                self._parked[name] = (kind, value)
        if self._noticed_s is not None and now_s - self._noticed_s < self._limits.notice_s:
            return []
        self._noticed_s = now_s
        rate = f"over {self._limits.messages_hz:g} messages a second"
        return [Send(warning("rate_limited", f"{rate}: the newest of each kind is kept"))]

    def _close(self, code: int, reason: str, after_s: float = 0.0) -> Close:
        self._state = _State.CLOSED
        self._parked.clear()
        return Close(code, reason, after_s)


_STATES = {"PLAY": _State.PLAYING, "PAUSE": _State.PAUSED, "STOP": _State.STOPPED}


def _warn(refusal: TypedError) -> Send:
    return Send(warning(refusal.code, str(refusal)))


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), token.encode())
