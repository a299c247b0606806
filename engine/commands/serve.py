"""`perpetuo serve`: the feed and the page, and a sound device beside them if one is named."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from engine.commands import version
from engine.commands.stage import Stage, stage
from engine.commands.status import EVERY_S, StatusLine, describe
from engine.commands.stream import SWITCH_S, Stream, open_stream
from engine.generator import Block
from engine.runner import Runner
from engine.session import Floats
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.sinks.websocket import FeedServer

Monitor = Callable[[Floats], None]


def serve(given: Namespace) -> int:
    """Serve until Ctrl-C; NetworkError where the port or the certificate cannot be used."""
    sys.setswitchinterval(SWITCH_S)
    stream = open_stream(given)
    if given.device is None:
        return asyncio.run(_serve(stream, given, None))
    from engine.sinks.device import DeviceSink

    with DeviceSink(stream.bundle.manifest.audio, given.device) as device:
        return asyncio.run(_serve(stream, given, device.play))


async def _serve(stream: Stream, given: Namespace, monitor: Monitor | None) -> int:
    """Serve until a signal comes, and return the exit code it asks for."""
    with stage(given, stream) as beside:
        return await _serve_beside(beside, given, monitor)


async def _serve_beside(beside: Stage, given: Namespace, monitor: Monitor | None) -> int:
    blocks, stream = BlockLog(), beside.stream
    generator = stream.generator

    def note(block: Block) -> None:
        blocks.note(block)
        beside.note(block)

    def sent(audio: Floats) -> None:
        beside.heard(audio)
        if monitor is not None:
            monitor(audio)

    runner = Runner(
        generator, stream.controls, ring_s=given.ring, on_block=note, spare=stream.spare,
        prompts=stream.prompts,
    )  # fmt: skip
    server = FeedServer(
        _config(given), ring=runner.ring, blocks=blocks, controls=stream.controls,
        status=runner.status, bundle=stream.bundle, version=version(),
        chunk_samples=generator.chunk_samples, depth=generator.ladder.depth, monitor=sent,
        prompts=runner.prompts, prompted=stream.prompted, start_anew=runner.start_anew,
    )  # fmt: skip
    asked = _signals()
    await server.start()
    runner.start()
    beside.start(runner)
    print(f"perpetuo plays at {server.url} (Ctrl-C ends it)", flush=True)
    telling = asyncio.create_task(_tell(runner, stream))
    feeding = asyncio.create_task(server.run())
    try:
        asked.add_done_callback(lambda _: feeding.cancel())
        with suppress(asyncio.CancelledError):
            await feeding  # raises what ended the feed, if it was not the signal
    finally:
        telling.cancel()
        await server.close()
        runner.stop()
    return asked.result() if asked.done() else 0


def _config(given: Namespace) -> ServeConfig:
    return ServeConfig(
        host=given.host, port=given.port, token=given.token, origins=tuple(given.origin),
        tls_cert=given.tls_cert, tls_key=given.tls_key, prefill_s=min(0.5, given.ring),
    )  # fmt: skip


def _signals() -> asyncio.Future[int]:
    """The exit code of the first SIGINT or SIGTERM; those after it change nothing."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()

    def ask(code: int) -> None:
        if not asked.done():
            asked.set_result(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, 128 + number)
    return asked


async def _tell(runner: Runner, stream: Stream) -> None:
    """Keep the status line up to date."""
    line, began_s = StatusLine(), monotonic()
    try:
        while True:
            played_s = monotonic() - began_s
            rate_hz = stream.bundle.manifest.audio.sample_rate_hz
            line.show(describe(runner.status(), rate_hz, played_s))
            await asyncio.sleep(EVERY_S)
    finally:
        line.close()
