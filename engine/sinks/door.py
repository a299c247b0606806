"""The door of the feed: who comes in at once, and what the others are told.

A handshake costs about half a millisecond of the event loop that also sends the music, so a crowd
that comes at once could keep it from its work. The loop takes in a few connections a turn, and
only so many a second: what comes beyond them is told in plain HTTP, without a handshake, to come
back later. That costs some microseconds, and those who are connected hear nothing of it.

    porter = Porter(places=200, full=lambda: False, refused=print)
    servers = await serve_at_doors(handle, config, porter)   # NetworkError if that is impossible
    await let_in(servers, config)
    porter.close()

It works where the event loop calls `accept` itself, as asyncio's selectors do; elsewhere everybody
comes in.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from engine.errors import NetworkError
from engine.sinks.config import ServeConfig, tls_context
from engine.wire.limits import TokenBucket
from engine.wire.messages import MAX_MESSAGE_BYTES

BACKLOG = 1024
"""Connections that wait in the kernel; it sends those beyond them away to try again in a second."""

TURN = 16
"""At most so many connections are looked at in one turn of the loop."""

RATE_HZ, SPARE = 250.0, 50
"""So many come in a second; at once, so many more than there are places: pages ask for files."""

FULL_RATE_HZ, FULL_BURST = 50.0, 50
"""The same where all places are taken, for /livez and its like."""

ROOM = 256
"""So many who must go are waited for, until they have asked; the oldest go first."""

PATIENCE_S = 1.0
SWEEP_S = 0.02
SEND_BUFFER_BYTES = 32 * 1024
RECEIVE_BUFFER_BYTES = 16 * 1024
"""Small kernel buffers: a slow listener shows at once, and a flood comes in small pieces."""

log = logging.getLogger(__name__)

RETRY_S = 5
_WORDS = b"too many come at once; try again later\n"
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: %d\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Connection: close\r\n\r\n%s"
) % (RETRY_S, len(_WORDS), _WORDS)


class Porter:
    """Lets in as many as can be dealt with; refuses the others. Of one event loop."""

    def __init__(
        self, places: int, full: Callable[[], bool], refused: Callable[[str], None],
        encrypted: bool = False,
    ) -> None:  # fmt: skip
        """`full` tells that all places are taken; `refused` is told why somebody had to go.

        Where the door is `encrypted` nothing can be said to who has not come in: it is closed.
        """
        self._usual = TokenBucket(RATE_HZ, places + SPARE)
        self._when_full = TokenBucket(FULL_RATE_HZ, FULL_BURST)
        self._full = full
        self._refused = refused
        self._encrypted = encrypted
        self._waiting: deque[tuple[float, socket.socket]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None

    def admits(self, visitor: socket.socket) -> bool:
        """True if it may come in; otherwise it is dealt with."""
        now_s, full = monotonic(), self._full()
        if (self._when_full if full else self._usual).take(now_s):
            return True
        self._refused("full" if full else "busy")
        visitor.setblocking(False)
        if self._encrypted:
            visitor.close()
        elif not _answered(visitor):
            self._have_wait(visitor, now_s + PATIENCE_S)
        return False

    def close(self) -> None:
        """Send away who still waits."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._waiting:
            _dismiss(self._waiting.popleft()[1])

    def _have_wait(self, visitor: socket.socket, until_s: float) -> None:
        """An answer that comes before the question is lost on some; so wait for the question."""
        if len(self._waiting) >= ROOM:
            _dismiss(self._waiting.popleft()[1])
        self._waiting.append((until_s, visitor))
        if self._sweeping is None:
            self._sweep_soon()

    def _sweep_soon(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Answer those who have asked meanwhile, and those who never did."""
        now_s = monotonic()
        for _ in range(len(self._waiting)):
            until_s, visitor = self._waiting.popleft()
            if _answered(visitor):
                continue
            if now_s < until_s:
                self._waiting.append((until_s, visitor))
            else:
                _dismiss(visitor)
        self._sweeping = None
        if self._waiting:
            self._sweep_soon()


class Door(socket.socket):
    """A listening socket whose `accept` passes on only whom the porter admits."""

    porter: Porter
    _looked_at = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """As of any socket that does not block; BlockingIOError when it is the loop's turn."""
        while self._looked_at < TURN:
            self._looked_at += 1
            try:
                visitor, address = super().accept()
            except BlockingIOError:
                break
            if self.porter.admits(visitor):
                return visitor, address
        self._looked_at = 0
        raise BlockingIOError


async def serve_at_doors(
    handle: Callable[[ServerConnection], Awaitable[None]], config: ServeConfig, porter: Porter,
    **options: Any,
) -> list[Server]:  # fmt: skip
    """A server at each address of the host, its port taken; nobody comes in before `let_in`.

    NetworkError says in a line why that is impossible. `options` are those of `websockets.serve`.
    """
    tls = tls_context(config)
    with _told_in_a_line(config):
        doors = await open_doors(config.host, config.port, porter)
        return [
            await serve(handle, sock=door, backlog=BACKLOG, ssl=tls, start_serving=False, **options)
            for door in doors
        ]


async def let_in(servers: Sequence[Server], config: ServeConfig) -> None:
    """Who comes from now on is answered; NetworkError as of `serve_at_doors`."""
    with _told_in_a_line(config):
        for server in servers:
            await server.start_serving()


@contextmanager
def _told_in_a_line(config: ServeConfig) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NetworkError(
            f"cannot listen on {config.host}:{config.port}: {reason}; "
            "choose another --host or --port"
        ) from None


def connection_options(config: ServeConfig) -> dict[str, Any]:
    """Those of `websockets.serve` that every connection gets: bounds, heartbeat, no compression."""
    return {
        "compression": None, "server_header": None, "max_size": MAX_MESSAGE_BYTES,
        "ping_interval": config.ping_s, "ping_timeout": config.pong_s,
        "close_timeout": config.close_s, "logger": log, "create_connection": Connection,
    }  # fmt: skip


class Connection(ServerConnection):
    """A connection that may be closed within a message.

    RFC 6455 lets control frames stand between the fragments of a message (5.4), and a close frame
    is one; `websockets` 14 to 17 answers it with 1002 there, where the code that came is due.
    """

    UNFINISHED = ("current_size", "cur_size")
    """What the library knows of a message that is not whole: since 17, and before."""

    def __init__(self, protocol: ServerProtocol, *rest: Any, **options: Any) -> None:
        """As the library makes it."""
        super().__init__(protocol, *rest, **options)
        take = protocol.recv_frame

        def receive(frame: Frame) -> None:
            for name in self.UNFINISHED:
                if frame.opcode is Opcode.CLOSE and hasattr(protocol, name):
                    setattr(protocol, name, None)
            take(frame)

        protocol.recv_frame = receive  # type: ignore[method-assign]


async def open_doors(host: str, port: int, porter: Porter) -> list[Door]:
    """A door at each address that the host has, bound, not yet listening; else OSError."""
    loop = asyncio.get_running_loop()
    bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    doors = [Door(fileno=listening.dup().detach()) for listening in bound.sockets]
    bound.close()
    for door in doors:
        door.porter = porter
        door.setblocking(False)
        # accepted connections inherit these
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return doors


def _answered(visitor: socket.socket) -> bool:
    """True if it is done with: it has asked and was answered, or it has gone."""
    try:
        if visitor.recv(RECEIVE_BUFFER_BYTES):
            _dismiss(visitor)
        else:
            visitor.close()
    except BlockingIOError:
        return False
    except OSError:
        visitor.close()
    return True


def _dismiss(visitor: socket.socket) -> None:
    """Tell it to come back later, and hang up."""
    with suppress(OSError):
        visitor.send(REFUSAL)
        visitor.shutdown(socket.SHUT_WR)
    visitor.close()
