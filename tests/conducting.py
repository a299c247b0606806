"""A feed server with sessions, on the stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.backends import standin
from engine.controls import Controls
from engine.errors import RoomError
from engine.generator import Generator
from engine.pool import Pool
from engine.prompts import Prompts
from engine.runner import Runner
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.sinks.sessions import Opened, Sessions
from engine.sinks.websocket import FeedServer


@dataclass
class Hall:
    """A house's stream and a pool for those of conductors."""

    server: FeedServer
    sessions: Sessions
    pool: Pool
    controls: Controls
    opened: list[int] = field(default_factory=list)

    def url(self, path: str = "/session") -> str:
        return f"ws://127.0.0.1:{self.server.port}{path}"


@asynccontextmanager
async def hall(
    places: int = 2, refusal: RoomError | None = None, **config: Any
) -> AsyncIterator[Hall]:
    bundle = standin.bundle(prompting=True)
    backend = standin.StandIn(bundle)
    prompts = Prompts(bundle, backend)
    pool = Pool(
        lambda: Generator(bundle, backend), chunk_s=3600.0, slots=9, ring_s=0.6, threads=2
    )  # fmt: skip
    opened: list[int] = []

    def programme(controls: Controls, blocks: BlockLog, runner: Runner) -> Programme:
        return Programme(
            ring=runner.ring, blocks=blocks, controls=controls, bundle=bundle,
            status=runner.status, version="0", prompts=prompts, start_anew=runner.start_anew,
        )  # fmt: skip

    def open_(seed: int) -> Opened:
        if refusal is not None:
            raise refusal
        controls, blocks = Controls(bundle.manifest.controls), BlockLog()
        controls.set("seed", seed)
        opened.append(seed)
        runner = pool.join(controls, on_block=blocks.note)
        return Opened(programme(controls, blocks, runner), lambda: pool.leave(runner))

    controls, blocks = Controls(bundle.manifest.controls), BlockLog()
    runner = pool.join(controls, on_block=blocks.note)
    settings = ServeConfig(**{"port": 0, "packet_s": 0.02, "state_s": 0.1, **config})
    annex = Sessions(open_, places, settings)
    server = FeedServer(settings, programme(controls, blocks, runner), sessions=annex)
    await server.start()
    try:
        while len(pool._crew._load) < 4:
            await asyncio.sleep(0.02)
        yield Hall(server, annex, pool, controls, opened)
    finally:
        await server.close()
        pool.close()
