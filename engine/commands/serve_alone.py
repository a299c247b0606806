"""`perpetuo serve` in one process: engine, feed, and what a performer has around them."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from engine.commands import version
from engine.commands.child import Errand
from engine.commands.kept import Kept
from engine.commands.serve_feed import config_of, signalled
from engine.commands.sessions import open_pool, opener
from engine.commands.stage import Stage, stage
from engine.commands.status import EVERY_S, StatusLine, describe
from engine.commands.stream import SWITCH_S, Stream, open_stream
from engine.generator import Block
from engine.runner import Runner
from engine.session import Floats
from engine.sinks.broadcast import Programme
from engine.sinks.feed import BlockLog
from engine.sinks.sessions import Sessions
from engine.sinks.websocket import FeedServer

if TYPE_CHECKING:
    from engine.sinks.device import DeviceSink


def serve_guarded(errand: Errand) -> int:
    """The same, as a child that is watched and goes on from what another one left."""
    return serve_alone(errand.given, Kept(errand))


def serve_alone(given: Namespace, kept: Kept | None = None) -> int:
    """Serve until Ctrl-C; NetworkError where the port or the certificate cannot be used."""
    sys.setswitchinterval(SWITCH_S)
    stream = open_stream(given) if kept is None else kept.open()
    if given.device is None:
        return _serve(stream, given, None, kept)
    from engine.sinks.device import DeviceSink

    audio, controls = stream.bundle.manifest.audio, stream.controls
    with DeviceSink(
        audio, given.device, channels=given.channels, controls=controls, patient=kept is not None
    ) as device:
        return _serve(stream, given, device, kept)


def _serve(stream: Stream, given: Namespace, device: DeviceSink | None, kept: Kept | None) -> int:
    """Serve until a signal comes, or the screen is left, and return the exit code."""
    with stage(given, stream) as beside:
        if given.screen:
            from engine.commands.screen import beside_screen

            return beside_screen(
                lambda asked: _serve_beside(beside, given, device, kept, asked),
                lambda over: beside.show(_described(device), over),
            )
        return asyncio.run(_serve_beside(beside, given, device, kept))


async def _serve_beside(
    beside: Stage, given: Namespace, device: DeviceSink | None, kept: Kept | None,
    asked: asyncio.Future[int] | None = None,
) -> int:  # fmt: skip
    """`asked` is the exit code that ends it; without it, that of a signal."""
    blocks, stream = BlockLog(), beside.stream
    generator = stream.generator

    def note(block: Block) -> None:
        blocks.note(block)
        beside.note(block)
        if kept is not None:
            kept.note(block)

    def sent(audio: Floats) -> None:
        beside.heard(audio)
        if device is not None:
            device.play(audio)

    pool = open_pool(given, stream) if given.sessions else None
    if pool is not None:
        runner = pool.seat(stream.controls, on_block=note, make=lambda: generator)
    else:
        runner = Runner(
            generator, stream.controls, ring_s=given.ring, on_block=note, spare=stream.spare,
            prompts=stream.prompts, margin_s=given.margin,
        )  # fmt: skip
    config = config_of(given)
    programme = Programme(
        ring=runner.ring, blocks=blocks, controls=stream.controls,
        status=runner.status, bundle=stream.bundle, version=version(),
        chunk_samples=generator.chunk_samples, depth=generator.ladder.depth, monitor=sent,
        prompts=stream.prompts, prompted=stream.prompted, start_anew=runner.start_anew,
        keeper=beside.keeper,
    )  # fmt: skip
    sessions = Sessions(opener(pool, stream), given.sessions, config) if pool else None
    server = FeedServer(
        config, programme, sessions=sessions, device=device.status if device else None,
        metrics=kept.metrics if kept else dict,
    )  # fmt: skip
    asked = asked or signalled()
    if beside.glance is not None:
        beside.glance.device = _described(device)
    beside.share(server.prompting)
    await server.start()
    runner.start()
    beside.start(runner)
    telling = [asyncio.create_task(_tell(runner, stream, shown=not given.screen))]
    if kept is not None:
        kept.share(server)
        telling.append(asyncio.create_task(kept.watch(runner, beside, asked)))
    line = f"perpetuo plays at {server.url} (Ctrl-C ends it)"
    if given.screen:
        beside.tell(line)
    elif kept is None or not kept.again:
        print(line, flush=True)
    feeding = asyncio.create_task(server.run())
    try:
        asked.add_done_callback(lambda _: feeding.cancel())
        with suppress(asyncio.CancelledError):
            await feeding  # raises what ended the feed, if it was not the signal
    finally:
        for task in telling:
            task.cancel()
        await server.close()
        if pool is not None:
            pool.close()
        else:
            runner.stop()
    return asked.result() if asked.done() else 0


def _described(device: DeviceSink | None) -> Callable[[], str]:
    """How the sound device does, for a screen."""
    return (lambda: "") if device is None else lambda: device.status().describe()


async def _tell(runner: Runner, stream: Stream, *, shown: bool) -> None:
    """Keep the status line up to date, if it is `shown`."""
    if not shown:
        return
    line, began_s = StatusLine(), monotonic()
    try:
        while True:
            played_s = monotonic() - began_s
            rate_hz = stream.bundle.manifest.audio.sample_rate_hz
            line.show(describe(runner.status(), rate_hz, played_s))
            await asyncio.sleep(EVERY_S)
    finally:
        line.close()
