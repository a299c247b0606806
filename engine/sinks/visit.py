"""One connection on its way to a stream of its own, and there.

It says hello as to the house; then its stream is begun or found, and what it asked for meanwhile is
asked of that.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from websockets.asyncio.server import ServerConnection

from engine.errors import RoomError
from engine.wire.actions import Action, Close, KeepState, Send, Start, refuse
from engine.wire.messages import TypedError, encode

if TYPE_CHECKING:
    from engine.sinks.sessions import Performance, Sessions
    from engine.sinks.websocket import FeedServer

PATH = re.compile(r"/session(?:/([\w-]{1,64}))?")
SEEDS = 2**31
CLOSE_FULL = 1013
CLOSE_FORBIDDEN = 4403
CLOSE_UNKNOWN = 4404


class Visit:
    """One connection: in nobody's audience until it has said hello and its stream is there."""

    def __init__(self, sessions: Sessions, house: FeedServer, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        path, _, query = request.path.partition("?")
        found = PATH.fullmatch(path)
        self._word = found[1] if found else None
        self._seed = _seed(parse_qs(query).get("seed", []))
        self._sessions = sessions
        self._house = house
        self._connection = connection
        self._listener = house.greet(connection)
        self._at: Performance | None = None
        self._waiting: list[Action] = []
        self._gone = False

    async def converse(self) -> None:
        """Until the connection ends."""
        await self._house.converse(self._connection, self._hear)

    def poll(self, now_s: float) -> None:
        """What time asks of it, as long as nobody else does that."""
        if self._at is None:
            for action in self._listener.session.poll(now_s):
                self._act(action)

    def leave(self) -> None:
        """The connection has ended."""
        self._gone = True
        if self._at is not None:
            self._at.broadcast.take_leave(self._listener)
            if self._listener.conducts:
                self._at.conductors -= 1
                self._at.left_s = monotonic()

    def _hear(self, message: str | bytes) -> bool:
        session = self._listener.session
        for action in session.receive(message, monotonic()):
            self._act(action)
        return session.limited

    def _act(self, action: Action) -> None:
        if isinstance(action, KeepState):
            reason = "sessions keep no states; the house's stream does"
            self._listener.say(refuse(action, reason, "no_states").text)
        elif self._at is not None:
            self._at.broadcast.act(self._listener, action)
        elif isinstance(action, Start) and self._word is None and action.role != "conductor":
            reason = "a session of one's own is for conductors; name a conductor's token"
            told = TypedError("not_allowed", reason, action.id)
            self._turn_away(told.encode(), Close(CLOSE_FORBIDDEN, "not allowed"))
        elif isinstance(action, Start):
            self._sessions.begin(self._come(action))
        elif isinstance(action, Send | Close):
            self._house.act(self._listener, action)
        else:  # what is asked of the stream, before it is there
            self._waiting.append(action)

    async def _come(self, start: Start) -> None:
        """To the stream that was asked for, and then do all that waited for it."""
        try:
            found = await self._find()
        except RoomError as error:
            self._house.count_refused("sessions")
            told = encode(
                "error", code="full", message=str(error), id=start.id, retry_s=error.retry_s
            )
            self._turn_away(told, Close(CLOSE_FULL, full(error)))
            return
        if found is None:
            gone = TypedError("no_session", "this session has ended, or never was", start.id)
            self._turn_away(gone.encode(), Close(CLOSE_UNKNOWN, "no such session"))
            return
        if self._gone:  # a new stream ends by itself
            return
        performance, conducts = found
        self._at = performance
        performance.conductors += conducts
        self._listener.conducts = conducts
        self._listener.place = performance.place(conducts)
        performance.broadcast.take_in(self._listener)
        for action in (start, *self._waiting):
            performance.broadcast.act(self._listener, action)

    async def _find(self) -> tuple[Performance, bool] | None:
        if self._word is not None:
            return self._sessions.find(self._word)
        return await self._sessions.open(self._seed), True

    def _turn_away(self, told: str, close: Close) -> None:
        self._listener.say(told)
        self._house.act(self._listener, close)


def full(error: RoomError) -> str:
    """Why a connection is closed, and the hint, as short as a close frame wants it."""
    return f"full; try again in {error.retry_s:g} s"


def _seed(given: list[str]) -> int | None:
    """The seed that an address asks for; None where it is none."""
    text = given[0] if given else ""
    return int(text) if text.isdecimal() and int(text) < SEEDS else None
