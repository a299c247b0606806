"""The benchmark of many listeners: how it takes a feed apart, and what it makes of it."""

from __future__ import annotations

import asyncio

import pytest
from serving import playing_live

from bench.listeners import Ear, report


async def test_an_ear_hears_every_packet_of_a_feed() -> None:
    async with playing_live(packet_s=0.02) as server:
        loop, host = asyncio.get_running_loop(), f"127.0.0.1:{server.port}"
        _, ear = await loop.create_connection(
            lambda: Ear(host, "pcm_s16le"), "127.0.0.1", server.port
        )
        async with asyncio.timeout(30):
            while len(ear.times_s) < 30:
                await asyncio.sleep(0.02)
        ear.close()
    assert ear.missed == 0


def ears(gap_s: float) -> list[Ear]:
    ear, stalled = Ear("", "opus"), Ear("", "opus")
    ear.times_s = [gap_s * at for at in range(100)]
    stalled.stalled = True
    return [ear, stalled]


def test_the_verdict_is_that_of_the_worst_listener(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ears(0.1), cut=1, cpu_s=1.0, memory_mb=100.0, seconds=10.0)
    said = capsys.readouterr().out
    assert "1, and 1 stalled, 1 of them cut" in said and "10 % of a core" in said
    assert not report(ears(0.3), cut=1, cpu_s=1.0, memory_mb=100.0, seconds=10.0)
    lost = ears(0.1)
    lost[0].missed = 1
    assert not report(lost, cut=1, cpu_s=1.0, memory_mb=100.0, seconds=10.0)
