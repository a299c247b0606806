"""A stream without a door: it begins, feeds and ends by itself."""

from __future__ import annotations

import asyncio
import gc
import weakref

import numpy as np
import pytest

from engine.backends import standin
from engine.controls import Controls
from engine.ring import AudioRing
from engine.sinks.broadcast import Broadcast, Programme
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.status import RunnerStatus


def broadcast(heard: list[np.ndarray], seconds: float = 30.0) -> Broadcast:
    bundle = standin.bundle(channels=2)
    ring = AudioRing(round(seconds * 24000), 2)
    ring.write(np.full((ring.capacity_samples, 2), 0.5, np.float32))
    programme = Programme(
        ring=ring, blocks=BlockLog(), controls=Controls(bundle.manifest.controls),
        status=RunnerStatus, bundle=bundle, version="0", monitor=heard.append,
    )  # fmt: skip
    return Broadcast(ServeConfig(packet_s=0.01), programme)


async def test_it_feeds_until_it_is_closed() -> None:
    heard: list[np.ndarray] = []
    one = broadcast(heard)
    assert one.ended and one.connections == 0
    one.begin()
    async with asyncio.timeout(30):
        while len(heard) < 20:
            await asyncio.sleep(0.01)
    assert not one.ended
    assert {audio.shape for audio in heard} == {(240, 2)}
    await one.close()
    await one.run()
    assert one.ended


async def test_what_connections_leave_behind_is_collected_between_packets() -> None:
    class Left:
        pass

    heard: list[np.ndarray] = []
    one = broadcast(heard)
    enabled = gc.isenabled()
    one.begin()
    async with asyncio.timeout(30):
        while not heard:
            await asyncio.sleep(0.01)
        left = Left()
        left.itself, gone = left, weakref.ref(left)  # type: ignore[attr-defined]
        del left
        while gone() is not None:
            assert not gc.isenabled()
            await asyncio.sleep(0.01)
    await one.close()
    assert gc.isenabled() is enabled


async def test_what_ends_the_feed_comes_through() -> None:
    def broken(_: np.ndarray) -> None:
        raise RuntimeError("the monitor broke")

    one = broadcast([])
    one._monitor = broken
    one.begin()
    with pytest.raises(RuntimeError, match="the monitor broke"):
        await asyncio.wait_for(one.run(), 30)
    await one.close()
