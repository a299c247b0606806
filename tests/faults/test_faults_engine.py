"""Faults of what makes the music: it goes on."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from websockets.exceptions import WebSocketException

from engine.backends import standin
from engine.bundle import Bundle, default_bundle_path
from engine.controls import Controls
from engine.errors import BundleError
from engine.generator import Generator
from engine.runner import Runner
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.sinks.websocket import FeedServer
from engine.wire.packets import Flag
from tests.faults.ears import Ear, ear
from tests.serving import listening, metrics, packets, say
from tests.watching import Served, served, until

Told = Callable[[str], None]
KILLS = int(os.environ.get("FAULTS_KILLS", "100"))
DAMAGES = 300


def fillers(one: Ear) -> int:
    return sum(bool(header.flags & Flag.FILLER) for header in one.headers)


async def covered(one: Ear) -> float:
    """Wait for filler and for new music after it; how long there was none, in s."""
    await one.until(lambda: one.headers[-1].flags & Flag.FILLER)
    return await one.until(lambda: not any(h.flags & Flag.FILLER for h in one.headers[-3:]))


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["stop", "kill"])
async def test_inference_stalls(told: Told, number: signal.Signals) -> None:
    with served() as running:
        async with ear(running.feed) as one:
            await one.more(20)
            running.hit("engine", number)
            took_s = await covered(one)
            await one.more(10)
        assert one.unbroken and one.musical
        told(f"covered for {took_s:.1f} s, then new music; {one.gaps()}")


@pytest.mark.parametrize("poison", ["nan", "inf", "dc", "loud", "slow"])
async def test_nan_inf_dc_over_level(told: Told, poison: str) -> None:
    bundle = standin.bundle()
    backend = standin.StandIn(bundle)
    controls, blocks = Controls(bundle.manifest.controls), BlockLog()
    runner = Runner(Generator(bundle, backend), controls, ring_s=0.6, on_block=blocks.note)
    programme = Programme(
        ring=runner.ring, blocks=blocks, controls=controls, status=runner.status, bundle=bundle,
        version="0",
    )  # fmt: skip
    server = FeedServer(ServeConfig(port=0), programme)
    await server.start()
    runner.start()
    try:
        async with ear(f"ws://127.0.0.1:{server.port}/feed") as one:
            if poison == "slow":
                backend.faults.delay_s = 1.0
                await one.until(lambda: runner.status().deadline_misses >= 3)
            else:
                backend.faults.poison = poison  # type: ignore[assignment]
                await one.until(lambda: runner.status().replaced_blocks >= 10)
            backend.faults.poison, backend.faults.delay_s = "", 0.0
            made = runner.status()
            await one.until(lambda: runner.status().ticks > made.ticks + 5)
            await one.more(10)
    finally:
        await server.close()
        runner.stop()
    assert one.unbroken and one.musical and max(one.peaks) <= 1.0
    told(
        f"{poison}: {made.replaced_blocks} blocks replaced, {made.deadline_misses} late; "
        f"{len(one.headers)} packets, peak {max(one.peaks):.2f}, steepest {one.steepest:.3f}"
    )


async def test_out_of_memory(told: Told) -> None:
    with served() as running:
        async with ear(running.feed) as one:
            engine, feed = until(lambda: running.child("engine")), running.child("feed")
            resource.prlimit(engine, resource.RLIMIT_AS, (1 << 20, 1 << 20))
            words = [{"text": "warm " * 150}] * 16
            await say(one.connection, type="prompts", id=1, prompts=words)
            await one.until(lambda: running.child("engine") not in (None, engine))
            took_s = await covered(one)
            await one.more(10)
        assert one.unbroken and one.musical and running.child("feed") == feed
        told(f"only the engine died; new music {took_s:.1f} s after the first filler")


async def test_kill_9_mid_stream(told: Told) -> None:
    back_s: list[float] = []
    with served("--restarts", KILLS + 1) as running:
        epoch = -1
        for _ in range(KILLS):
            async with listening(running.feed) as connection:
                await packets(connection, 3)
                epoch = connection.hello["epoch"]
                began_s = monotonic()
                running.hit("feed", signal.SIGKILL)
            await _resumed(running, epoch)
            back_s.append(monotonic() - began_s)
        assert (await metrics(running.port))["restarts_total{feed}"] == KILLS
    told(f"{KILLS} times: back after p50 {np.median(back_s):.2f}, max {max(back_s):.2f} s")


async def _resumed(running: Served, epoch: int) -> None:
    """Music of another epoch, as a client that comes back hears it."""
    async with asyncio.timeout(120):
        while True:
            try:
                async with listening(running.feed) as connection:
                    if connection.hello["epoch"] != epoch:
                        await packets(connection, 1)
                        return
            except (OSError, WebSocketException):
                await asyncio.sleep(0.02)


def test_bundle_damaged(told: Told, tmp_path: Path) -> None:
    """Truncated, a bit flipped, a name that climbs out: nothing is loaded."""
    whole = default_bundle_path()
    names = sorted(path.name for path in whole.iterdir() if path.suffix in (".onnx", ".data"))
    names.append("manifest.json")
    chance, refused = random.Random(5), 0
    for number in range(DAMAGES):
        folder = tmp_path / str(number % 2)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        name = chance.choice(names)
        for path in whole.iterdir():
            if path.name != name:
                os.link(path, folder / path.name)
        content = bytearray((whole / name).read_bytes())
        if number % 2:
            del content[chance.randrange(len(content)) :]
        else:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(content)
        with pytest.raises(BundleError) as error:
            Bundle.open(folder)
        refused += error.value.exit_code == 3 and "\n" not in str(error.value)
    assert refused == DAMAGES
    told(f"{refused} of {DAMAGES} damages refused, each in one line, exit code 3")


async def test_bundle_damaged_while_it_plays(told: Told, tmp_path: Path) -> None:
    """The hot swap refuses it; what plays goes on."""
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle_path(), folder)
    with served("--backend", "auto", "--bundle", folder) as running:
        async with ear(running.feed) as one:
            await one.more(20)
            engine = running.child("engine")
            data = folder / "velocity.onnx"
            data.write_bytes(data.read_bytes()[:-100])
            running.process.send_signal(signal.SIGUSR1)
            await one.more(100)
            assert running.child("engine") == engine
        assert one.unbroken and min(one.peaks) >= 0
        code, words = running.end()
        assert code == 130 and "velocity.onnx" in words
        told(f"said: {words.strip().splitlines()[0]:.140}; {one.gaps()}")
