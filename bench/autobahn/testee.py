"""What is tested: our door with an echo behind it, and the feed itself.

The echo is a process of its own, `python -m bench.autobahn.testee`: the suite sends messages in
more fragments than `websockets` takes, and how many it takes is an environment variable that it
reads once, as it is imported. The feed keeps the bounds that every listener meets.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bench.autobahn.player import Server
from engine.backends.standin import StandIn, bundle
from engine.controls import Controls
from engine.errors import NetworkError
from engine.generator import Generator
from engine.runner import Runner
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.door import Porter, connection_options, let_in, serve_at_doors
from engine.sinks.feed import BlockLog
from engine.sinks.websocket import FEED_PATH, FeedServer
from engine.wire.native import SUBPROTOCOL

PLACES = 10_000

FRAGMENTS = "WEBSOCKETS_MAX_FRAGMENTS", 65_536
"""The variable of `websockets` (its usual value is 4,096), and what the suite needs: 4 MiB in
fragments of 64 octets (9.3.1, 9.4.1)."""


@asynccontextmanager
async def echo() -> AsyncIterator[Server]:
    """The door and the options of the feed, without its bounds on a message; it says all back.

    NetworkError where it cannot begin; it has said why.
    """
    name, most = FRAGMENTS
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE,
        env=os.environ | {name: str(most), "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        if not (port := await process.stdout.readline()):
            raise NetworkError("the echo ended before it listened")
        yield Server(int(port))
    finally:
        process.stdin.close()
        await process.wait()


async def _echo() -> None:
    """Tell the port and echo until stdin is closed."""
    config = ServeConfig(port=0)
    porter = Porter(PLACES, lambda: False, lambda _: None)
    options = {**connection_options(config), "max_size": None}
    servers = await serve_at_doors(_say_back, config, porter, **options)
    await let_in(servers, config)
    print(next(iter(servers[0].sockets)).getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
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


if __name__ == "__main__":
    asyncio.run(_echo())
