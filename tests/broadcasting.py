"""A feed for tests of its listeners: it sends what it is told to, when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.typing import Subprotocol

from engine.relays.ogg import silence
from engine.session import Floats
from engine.wire.packets import Codec, PacketHeader, encode_packet

RATE_HZ = 24000
PACKET = 2400


class Station:
    """Sends packets to whoever has said hello."""

    def __init__(self, codec: Codec, channels: int = 1, padding: int = 0) -> None:
        """`padding` bytes make packets of Opus as large as those of music are."""
        self.codec = codec
        self.padding = padding
        self.channels = channels
        self.epoch = 1
        self.sent = 0
        self.port = 0
        self.hellos: list[dict[str, object]] = []
        self.refusal: dict[str, object] | None = None
        self.listeners: set[ServerConnection] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/feed"

    async def join(self, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "hello", "protocol": 1, "epoch": self.epoch}))
        said = json.loads(await connection.recv())
        self.hellos.append(said)
        if self.refusal is not None:
            await connection.send(json.dumps({"type": "error", "id": said["id"]} | self.refusal))
        else:
            self.listeners.add(connection)
        await connection.wait_closed()
        self.listeners.discard(connection)

    def packet(self) -> bytes:
        """The next one: a tone, or silence in Opus."""
        at = self.sent * PACKET
        header = PacketHeader(
            codec=self.codec, epoch=self.epoch, sequence=self.sent, samples=PACKET, position=at,
            idea_revision=0, hand_revision=0, sample_rate_hz=RATE_HZ, channels=self.channels,
        )  # fmt: skip
        self.sent += 1
        if self.codec is Codec.OPUS:
            return header.pack() + silence(self.channels) + bytes(self.padding)
        return encode_packet(header, tone(at, PACKET, self.channels))

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            broadcast(self.listeners, self.packet())

    async def heard(self) -> None:
        """Wait for a listener."""
        async with asyncio.timeout(30):
            while not self.listeners:
                await asyncio.sleep(0.01)

    async def play(self, pace_s: float = 0.1) -> None:
        """Send for ever."""
        while True:
            self.send()
            await asyncio.sleep(pace_s)


def tone(at: int, samples: int, channels: int = 1) -> Floats:
    time_s = (at + np.arange(samples)) / RATE_HZ
    wave = (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
    return np.repeat(wave[:, None], channels, axis=1)


@asynccontextmanager
async def on_air(station: Station, port: int = 0) -> AsyncIterator[Station]:
    """The station, listening; its connections end with it."""
    async with serve(
        station.join, "127.0.0.1", port, subprotocols=[Subprotocol("perpetuo.v1")],
        compression=None, close_timeout=0.5,
    ) as server:  # fmt: skip
        station.port = next(iter(server.sockets)).getsockname()[1]
        yield station
