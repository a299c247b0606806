"""Streams of their own for those who conduct, beside the house's stream for all others.

    /session             a new stream; whoever opens it conducts it
    /session?seed=N      the same, its first chunk already with this seed
    /session/WORD        a stream that plays: its name lets one listen, its key conduct

A stream begins when its conductor has said hello, and so knows the token. It ends when no conductor
has been there for `LINGER_S`: a connection that was lost comes back with the key. Clients of Lyria
RealTime conduct, too, each a stream of its own, for as long as they are connected.

Every stream is a `Broadcast` of its own, without a door; the house hands connections over.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from engine.errors import RoomError
from engine.sinks.broadcast import Broadcast, Programme
from engine.sinks.config import ServeConfig
from engine.sinks.lyria import api_key, asks_lyria
from engine.sinks.visit import CLOSE_FULL, PATH, SEEDS, Visit, full

if TYPE_CHECKING:
    from engine.sinks.websocket import FeedServer

LINGER_S = 10.0
"""What a stream waits for its conductor to come back."""

LOOK_S = 0.1
CLOSE_OVER = 4410


@dataclass(frozen=True)
class Opened:
    """A stream that has begun: what is sent of it, and how it is ended.

    `stop` may take as long as a tick; it is called in a thread.
    """

    programme: Programme
    stop: Callable[[], None]


Opener = Callable[[int], Opened]
"""Begins a stream with this seed, in a thread; RoomError where there is no room for it."""


@dataclass(eq=False)
class Performance:
    """One stream, and who is there."""

    broadcast: Broadcast
    opened: Opened
    name: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    key: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    conductors: int = 0
    left_s: float = 0.0  # when the last conductor went

    def place(self, conducts: bool) -> dict[str, object]:
        """What a listener is told of where it is."""
        return {
            "name": self.name, "conducts": conducts, "key": self.key if conducts else None
        }  # fmt: skip


class Sessions:
    """All of them. Lives on the event loop of the house's server."""

    def __init__(self, opener: Opener, places: int, config: ServeConfig) -> None:
        """At most `places` at a time; `config` is the house's."""
        self.places = places
        self._opener = opener
        self._config = config
        self._playing: dict[str, Performance] = {}  # by name, and by key
        self._visits: set[Visit] = set()
        self._clients = 0  # of Lyria
        self._opening = 0
        self._looking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def performances(self) -> list[Performance]:
        """Those that play."""
        return list(dict.fromkeys(self._playing.values()))

    @property
    def connections(self) -> int:
        """Of conductors and their listeners."""
        return len(self._visits) + self._clients

    @property
    def playing(self) -> int:
        """How many play."""
        return len(self.performances)

    def info(self) -> dict[str, object]:
        """What /info says of them."""
        return {"path": "/session", "places": self.places, "playing": self.playing}

    def wants(self, request: Request) -> bool:
        """True for a handshake that is not the house's."""
        return PATH.fullmatch(request.path.partition("?")[0]) is not None or asks_lyria(request)

    async def host(self, house: FeedServer, connection: ServerConnection) -> None:
        """A connection, from its beginning to its end."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after())
        if asks_lyria(connection.request):
            self._clients += 1
            try:
                await self._host_lyria(house, connection)
            finally:
                self._clients -= 1
            return
        visit = Visit(self, house, connection)
        self._visits.add(visit)
        try:
            await visit.converse()
        finally:
            self._visits.discard(visit)
            visit.leave()

    async def open(self, seed: int | None) -> Performance:
        """A new stream; RoomError where there is no room for it."""
        if self.playing + self._opening >= self.places:
            raise RoomError(f"all {self.places} sessions are taken; try again later", 5.0)
        self._opening += 1
        try:
            drawn = secrets.randbelow(SEEDS) if seed is None else seed
            opened = await asyncio.to_thread(self._opener, drawn)
        finally:
            self._opening -= 1
        performance = Performance(Broadcast(self._config, opened.programme), opened)
        performance.left_s = monotonic()
        self._playing |= {performance.name: performance, performance.key: performance}
        performance.broadcast.begin()
        return performance

    def find(self, word: str) -> tuple[Performance, bool] | None:
        """The stream of this name or key, and whether the word lets one conduct."""
        performance = self._playing.get(word)
        return None if performance is None else (performance, word == performance.key)

    async def close(self) -> None:
        """End all of them."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        while self._tasks or self._playing:  # who is on the way arrives first
            for performance in self.performances:
                self._end(performance)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside everything else, to its end."""
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def _host_lyria(self, house: FeedServer, connection: ServerConnection) -> None:
        """The house refuses whoever has not the right key."""
        if not self._knows_token(connection.request):
            await house.host_lyria(connection)
            return
        try:
            performance = await self.open(None)
        except RoomError as error:
            house.count_refused("sessions")
            await connection.close(CLOSE_FULL, full(error))
            return
        performance.conductors += 1
        try:
            await performance.broadcast.host_lyria(connection)
        finally:
            self._end(performance)

    def _knows_token(self, request: Request | None) -> bool:
        token, key = self._config.tokens.conducts, api_key(request) or ""
        return token is None or hmac.compare_digest(_bytes(key), _bytes(token))

    def _end(self, performance: Performance) -> None:
        """Not to be found any more; its listeners are told, its place is free soon."""
        if self._playing.pop(performance.name, None) is None:
            return
        del self._playing[performance.key]
        self.begin(_end(performance))

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = monotonic()
            for visit in tuple(self._visits):
                visit.poll(now_s)
            for one in self.performances:
                left = not one.conductors and now_s - one.left_s > LINGER_S
                if left or one.broadcast.ended:
                    self._end(one)


async def _end(performance: Performance) -> None:
    await performance.broadcast.send_away(CLOSE_OVER, "the session has ended")
    await performance.broadcast.close()
    await asyncio.to_thread(performance.opened.stop)


def _bytes(word: str) -> bytes:
    return word.encode(errors="surrogatepass")
