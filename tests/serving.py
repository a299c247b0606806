"""Feed servers to test: over a tape, a ring that already holds everything it will ever play, and
over the stand-in, in real time."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from engine.backends import standin
from engine.controls import Controls
from engine.generator import Generator
from engine.prompts import Prompt, Prompts
from engine.ring import AudioRing
from engine.runner import Runner
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.sinks.prompting import Embedder
from engine.sinks.websocket import FeedServer
from engine.status import RunnerStatus
from engine.wire.packets import PacketHeader, decode_packet

PROTOCOLS = [Subprotocol("perpetuo.v1")]
FAST = {"packet_s": 0.01, "state_s": 0.05, "replay_s": 0.1, "port": 0}


@dataclass
class Tape:
    """A server, and what it plays: sample n of every channel has the value n."""

    server: FeedServer
    controls: Controls
    ring: AudioRing

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server.port}/feed"


@asynccontextmanager
async def playing_tape(
    *, seconds: float = 30.0, rate_hz: int = 24000, channels: int = 1,
    prompts: Embedder | None = None, prompted: Sequence[Prompt] = (), **config: Any,
) -> AsyncIterator[Tape]:  # fmt: skip
    """A started server; `config` are fields of ServeConfig."""
    bundle = standin.bundle(
        sample_rate_hz=rate_hz, channels=channels, prompting=prompts is not None
    )
    ring = AudioRing(round(seconds * rate_hz), channels)
    ramp = np.arange(ring.capacity_samples, dtype=np.float32)[:, None]
    ring.write(np.ascontiguousarray(np.repeat(ramp, channels, axis=1)))
    controls = Controls(bundle.manifest.controls)
    programme = Programme(
        ring=ring, blocks=BlockLog(), controls=controls, status=RunnerStatus, bundle=bundle,
        version="0", prompts=prompts, prompted=prompted,
    )  # fmt: skip
    server = FeedServer(ServeConfig(**{**FAST, **config}), programme)
    await server.start()
    try:
        yield Tape(server, controls, ring)
    finally:
        await server.close()


@asynccontextmanager
async def playing_live(
    *, prompting: bool = False, rate_hz: int = 24000, channels: int = 1, **config: Any
) -> AsyncIterator[FeedServer]:
    """The stand-in, played by the real runner; `config` are fields of ServeConfig."""
    bundle = standin.bundle(prompting=prompting, sample_rate_hz=rate_hz, channels=channels)
    backend = standin.StandIn(bundle)
    controls, blocks = Controls(bundle.manifest.controls), BlockLog()
    runner = Runner(Generator(bundle, backend), controls, ring_s=0.6, on_block=blocks.note)
    programme = Programme(
        ring=runner.ring, blocks=blocks, controls=controls, status=runner.status, bundle=bundle,
        version="0", prompts=Prompts(bundle, backend) if prompting else None,
    )  # fmt: skip
    server = FeedServer(ServeConfig(**{"port": 0, **config}), programme)
    await server.start()
    runner.start()
    try:
        yield server
    finally:
        await server.close()
        runner.stop()


@asynccontextmanager
async def listening(
    url: str, codec: str = "pcm_f32le", token: str | None = None, name: str | None = None,
    **options: Any,
) -> AsyncIterator[Any]:  # fmt: skip
    """A listener that has said hello; `.hello` is the server's, the feed follows."""
    options = {"subprotocols": PROTOCOLS, "compression": None, "close_timeout": 0.5, **options}
    async with connect(url, **options) as connection:
        connection.hello = json.loads(await connection.recv())
        await say(connection, type="hello", codec=codec, token=token, name=name)
        yield connection


def small_socket(port: int) -> socket.socket:
    """A connected socket that takes in little before its reader does."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    link.connect(("127.0.0.1", port))
    link.setblocking(False)
    return link


async def say(connection: ClientConnection, **fields: Any) -> None:
    await connection.send(json.dumps(fields))


async def packets(connection: ClientConnection, count: int) -> list[tuple[PacketHeader, Any]]:
    """The next so many packets; texts between them are dropped."""
    found = []
    async with asyncio.timeout(30):
        while len(found) < count:
            message = await connection.recv()
            if isinstance(message, bytes):
                found.append(decode_packet(message))
    return found


async def text(connection: ClientConnection, *types: str) -> dict[str, Any]:
    """The next text message of one of these types."""
    async with asyncio.timeout(30):
        while True:
            message = await connection.recv()
            if isinstance(message, str) and json.loads(message)["type"] in types:
                return dict(json.loads(message))


async def get(port: int, path: str, head: str = "") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a plain request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


async def closed_with(connection: ClientConnection) -> int | None:
    """The code that the server closes with; what it sends before is dropped."""
    with pytest.raises(ConnectionClosed) as end:
        async with asyncio.timeout(30):
            while True:
                await connection.recv()
    return end.value.rcvd.code if end.value.rcvd else None


async def metrics(port: int) -> dict[str, float]:
    """/metrics by name, or by `name{reason}`."""
    _, _, body = await get(port, "/metrics")
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            reason = sample.labels.get("reason")
            name = sample.name.removeprefix("perpetuo_")
            found[f"{name}{{{reason}}}" if reason else name] = sample.value
    return found


async def until(port: int, name: str, at_least: float) -> dict[str, float]:
    """Wait until a metric has reached a value."""
    async with asyncio.timeout(30):
        while True:
            now = await metrics(port)
            if now.get(name, 0.0) >= at_least:
                return now
            await asyncio.sleep(0.05)
