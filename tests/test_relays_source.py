"""A feed to listen to: it is found again, and what makes listening impossible is raised."""

from __future__ import annotations

import asyncio

import pytest
from broadcasting import PACKET, Station, on_air

from engine.errors import NetworkError, UsageError
from engine.relays import source as sources
from engine.relays.source import WAITING_PACKETS, Source, retry_s
from engine.wire.packets import Codec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(sources, "RETRY_LONGEST_S", 0.1)


async def test_packets_come_in_their_order_and_silence_is_none() -> None:
    async with (
        on_air(Station(Codec.OPUS)) as station,
        Source(station.url, Codec.OPUS, token="key") as source,
    ):
        await station.heard()
        station.send(3)
        found = [await source.next(10.0) for _ in range(3)]
        assert [packet and packet.header.position for packet in found] == [0, PACKET, 2 * PACKET]
        assert await source.next(0.05) is None
        assert station.hellos[0]["token"] == "key"


async def test_a_feed_that_comes_back_goes_on_without_a_repetition() -> None:
    told: list[str] = []
    station = Station(Codec.OPUS)
    async with on_air(station):
        port = station.port
        source = Source(station.url, Codec.OPUS, tell=told.append)
        await source.__aenter__()
        await station.heard()
        station.send(2)
        assert await source.next(10.0) and await source.next(10.0)
    station.sent = 1
    async with on_air(station, port):
        await station.heard()
        station.send(3)
        back = await source.next(10.0)
        assert back is not None and back.header.position == 2 * PACKET
        assert back.missed_samples == 0
        await source.__aexit__(None, None, None)
    assert "trying again" in told[0] and "plays again" in told[-1]


async def test_a_slow_consumer_loses_the_oldest_and_may_forget_more() -> None:
    async with (
        on_air(Station(Codec.OPUS)) as station,
        Source(station.url, Codec.OPUS) as source,
    ):
        await station.heard()
        station.send(WAITING_PACKETS + 20)
        async with asyncio.timeout(30):
            while source.dropped_packets < 20:
                await asyncio.sleep(0.01)
        first = await source.next()
        assert first is not None and first.header.sequence == 20
        source.forget(3)
        newest = await source.next()
        assert newest is not None and newest.header.sequence == WAITING_PACKETS + 20 - 3


async def test_a_refusal_is_raised_with_its_words() -> None:
    station = Station(Codec.OPUS)
    station.refusal = {"code": "bad_codec", "message": "no Opus here"}
    async with on_air(station), Source(station.url, Codec.OPUS) as source:
        with pytest.raises(NetworkError, match=r"refuses \(bad_codec\): no Opus here"):
            await source.next(10.0)


async def test_where_there_is_no_feed_the_impatient_are_told_at_once() -> None:
    async with Source("ws://127.0.0.1:1/feed", Codec.OPUS, patient=False) as source:
        with pytest.raises(NetworkError, match="is perpetuo serve running there"):
            await source.next(10.0)
    async with Source("ws://127.0.0.1:1/feed", Codec.OPUS) as source:
        assert await source.next(0.1) is None
    async with Source("ftp://nowhere", Codec.OPUS) as source:
        with pytest.raises(UsageError, match="no address of a feed"):
            await source.next(10.0)


def test_waits_are_spread_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert all(0 <= retry_s(attempt) <= min(30, 0.5 * 2**attempt) for attempt in range(40))
