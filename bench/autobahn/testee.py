"""What is tested: our door with an echo behind it, and the feed itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bench.autobahn.player import Server
from engine.backends.standin import StandIn, bundle
from engine.controls import Controls
from engine.generator import Generator
from engine.runner import Runner
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.door import Porter, connection_options, serve_at_doors
from engine.sinks.feed import BlockLog
from engine.sinks.websocket import FEED_PATH, FeedServer
from engine.wire.native import SUBPROTOCOL

PLACES = 10_000


@asynccontextmanager
async def echo() -> AsyncIterator[Server]:
    """The door and the options of the feed, without its bound on a message; it says all back."""
    config = ServeConfig(port=0)
    porter = Porter(PLACES, lambda: False, lambda _: None)
    options = {**connection_options(config), "max_size": None}
    servers = await serve_at_doors(_say_back, config, porter, **options)
    try:
        yield Server(next(iter(servers[0].sockets)).getsockname()[1])
    finally:
        porter.close()
        for server in servers:
            server.close()
            await server.wait_closed()


async def _say_back(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


@asynccontextmanager
async def feed() -> AsyncIterator[Server]:
    """The feed server, playing the stand-in."""
    made = bundle()
    controls, blocks = Controls(made.manifest.controls), BlockLog()
    runner = Runner(Generator(made, StandIn(made)), controls, ring_s=0.6, on_block=blocks.note)
    programme = Programme(
        ring=runner.ring, blocks=blocks, controls=controls, status=runner.status, bundle=made,
        version="0",
    )  # fmt: skip
    server = FeedServer(ServeConfig(port=0, max_connections=PLACES), programme)
    await server.start()
    runner.start()
    try:
        yield Server(server.port, FEED_PATH, SUBPROTOCOL, echoes=False)
    finally:
        await server.close()
        runner.stop()
