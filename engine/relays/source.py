"""A feed to listen to: connected as long as there is one, and connected anew when it went away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from engine.errors import NetworkError, UsageError
from engine.wire.client import Client, Heard, RefusedError, Reply
from engine.wire.native import SUBPROTOCOL
from engine.wire.packets import Codec

RETRY_FIRST_S = 0.5
RETRY_LONGEST_S = 30.0
SILENCE_S = 12.0
"""A feed that says nothing for so long is gone, whatever TCP believes."""

WAITING_PACKETS = 100
"""Packets kept for a slow consumer, 10 s of audio; beyond that the oldest are dropped."""

MAX_MESSAGE_BYTES = 2**20


def retry_s(attempt: int) -> float:
    """A wait drawn between nothing and a bound that doubles up to 30 s (full jitter)."""
    return random.uniform(0.0, min(RETRY_LONGEST_S, RETRY_FIRST_S * 2.0 ** min(attempt, 16)))


class Source:
    """Packets of a feed; use it as an asynchronous context."""

    def __init__(
        self, url: str, codec: Codec, *, token: str | None = None, patient: bool = True,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`patient`: a feed that cannot be reached at first is waited for, else NetworkError.

        `tell` is given a line whenever the feed comes and goes.
        """
        self.url = url
        self.dropped_packets = 0
        self._client = Client(codec, token)
        self._patient = patient
        self._tell = tell
        self._packets: asyncio.Queue[Heard | Exception] = asyncio.Queue(WAITING_PACKETS)
        self._attempt = 0
        self._pumping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._pumping = asyncio.create_task(self._pump())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._pumping is not None
        self._pumping.cancel()
        with suppress(asyncio.CancelledError):
            await self._pumping

    async def next(self, patience_s: float | None = None) -> Heard | None:
        """The next packet, None if none came in time; raises what makes listening impossible."""
        try:
            async with asyncio.timeout(patience_s):
                found = await self._packets.get()
        except TimeoutError:
            return None
        if isinstance(found, Exception):
            raise found
        return found

    def forget(self, keep: int) -> None:
        """Drop all waiting packets but the newest `keep`, 1 at least: they are no longer now."""
        while self._packets.qsize() > max(1, keep):
            self._packets.get_nowait()
            self.dropped_packets += 1

    async def _pump(self) -> None:
        while True:
            try:
                await self._listen()
                reason = "the feed closed the connection"
            except InvalidURI as error:
                return self._offer(UsageError(f"{self.url} is no address of a feed: {error}"))
            except RefusedError as refusal:
                wrong = f"{self.url} refuses ({refusal.code}): {refusal}"
                return self._offer(NetworkError(wrong))
            except (OSError, WebSocketException, ValueError) as error:
                reason = str(error) or type(error).__name__
                if not self._patient:
                    return self._offer(_unreachable(self.url, reason))
            wait_s = retry_s(self._attempt)
            self._attempt += 1
            self._tell(f"{self.url}: {reason}; trying again in {wait_s:.1f} s")
            await asyncio.sleep(wait_s)

    async def _listen(self) -> None:
        """One connection, from its hello to its end."""
        async with connect(
            self.url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None,
            max_size=MAX_MESSAGE_BYTES, close_timeout=1.0, open_timeout=SILENCE_S,
        ) as connection:  # fmt: skip
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await connection.recv()
                event = self._client.receive(message)
                if isinstance(event, Reply):
                    await connection.send(event.text)
                elif isinstance(event, Heard):
                    self._heard(event)

    def _heard(self, packet: Heard) -> None:
        self._patient = True
        if self._attempt:
            self._tell(f"{self.url}: it plays again")
        self._attempt = 0
        self._offer(packet)

    def _offer(self, event: Heard | Exception) -> None:
        if self._packets.full():
            self._packets.get_nowait()
            self.dropped_packets += 1
        self._packets.put_nowait(event)


def _unreachable(url: str, reason: str) -> NetworkError:
    return NetworkError(f"{url} cannot be listened to: {reason}; is perpetuo serve running there?")
