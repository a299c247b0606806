"""The relay to Icecast: Debian's own where it is installed, and servers that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from broadcasting import Station, on_air
from icecasting import PROGRAM, free_port, icecast

from engine.errors import NetworkError, UsageError
from engine.relays import icecast as relays
from engine.relays import source as sources
from engine.relays.icecast import IcecastRelay, Mount
from engine.relays.source import Source
from engine.wire.packets import Codec

ICECAST = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install icecast2")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RETRY_FIRST_S", 0.1)
    monkeypatch.setattr(sources, "RETRY_LONGEST_S", 0.3)


def mount(port: int, password: str = "right") -> Mount:
    return Mount.parse(f"icecast://source:{password}@127.0.0.1:{port}/live.opus")


@asynccontextmanager
async def relaying(
    to: Mount, station: Station, *, stall_s: float = 5.0, pace_s: float = 0.02
) -> AsyncIterator[tuple[IcecastRelay, list[str]]]:
    """A station that plays, five times as fast as time, and a relay of it."""
    told: list[str] = []
    async with on_air(station), Source(station.url, Codec.OPUS, tell=told.append) as source:
        relay = IcecastRelay(to, stall_s=stall_s, tell=told.append)
        tasks = [asyncio.create_task(relay.run(source)), asyncio.create_task(station.play(pace_s))]
        try:
            yield relay, told
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def connected(relay: IcecastRelay, times: int = 1) -> None:
    async with asyncio.timeout(30):
        while relay.connections < times:
            await asyncio.sleep(0.02)


async def tune_in(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A listener of the mount, as soon as it is there."""
    async with asyncio.timeout(30):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /live.opus HTTP/1.0\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " in head.partition(b"\r\n")[0]:
                return reader, writer
            writer.close()
            await asyncio.sleep(0.1)


async def pages(reader: asyncio.StreamReader, count: int) -> bytes:
    """What comes until there are so many Ogg pages."""
    heard = b""
    async with asyncio.timeout(30):
        while heard.count(b"OggS") < count:
            some = await reader.read(4096)
            assert some, "Icecast ended the stream"
            heard += some
    return heard


@ICECAST
async def test_icecast_plays_what_the_feed_plays(tmp_path: Path) -> None:
    port = free_port()
    with icecast(tmp_path, port):
        async with relaying(mount(port), Station(Codec.OPUS, 2)) as (relay, told):
            await connected(relay)
            reader, writer = await tune_in(port)
            heard = await pages(reader, 30)
            writer.close()
    assert heard[28:36] == b"OpusHead" and heard[37] == 2
    assert relay.connections == 1 and told[-1].endswith("connected")


@ICECAST
async def test_a_stalled_listener_costs_the_others_nothing(tmp_path: Path) -> None:
    port = free_port()
    with icecast(tmp_path, port):
        station = Station(Codec.OPUS, padding=8000)
        async with relaying(mount(port), station, pace_s=0.01) as (relay, _):
            await connected(relay)
            stalled = socket.socket()
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect(("127.0.0.1", port))
            stalled.send(b"GET /live.opus HTTP/1.0\r\n\r\n")
            reader, writer = await tune_in(port)
            async with asyncio.timeout(90):
                while "too far behind" not in (tmp_path / "error.log").read_text():
                    await pages(reader, 20)
            writer.close()
            stalled.close()
            assert relay.connections == 1


@ICECAST
async def test_a_restart_of_icecast_is_survived(tmp_path: Path) -> None:
    port = free_port()
    async with relaying(mount(port), Station(Codec.OPUS)) as (relay, told):
        for times in (1, 2):
            with icecast(tmp_path, port) as process:
                await connected(relay, times)
                reader, writer = await tune_in(port)
                assert (await pages(reader, 20))[28:36] == b"OpusHead"
                writer.close()
                if times == 1:
                    process.kill()
    assert any("trying again" in line for line in told)


async def test_a_server_that_stops_reading_is_left_after_the_bound() -> None:
    with socket.socket() as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.bind(("127.0.0.1", 0))
        frozen.listen()
        frozen.setblocking(False)
        loop, station = asyncio.get_running_loop(), Station(Codec.OPUS, padding=1500)
        to = mount(frozen.getsockname()[1])
        async with relaying(to, station, stall_s=0.3, pace_s=0.005) as (relay, told):
            for times in (1, 2):
                link, _ = await asyncio.wait_for(loop.sock_accept(frozen), 30)
                with link:
                    await loop.sock_recv(link, 4096)
                    await loop.sock_sendall(link, b"HTTP/1.1 100 Continue\r\n\r\n")
                    async with asyncio.timeout(30):
                        while sum("trying again" in line for line in told) < times:
                            await asyncio.sleep(0.02)
            assert relay.connections == 2


@ICECAST
async def test_a_wrong_password_is_told_and_ends_the_relay(tmp_path: Path) -> None:
    port = free_port()
    with icecast(tmp_path, port):
        station = Station(Codec.OPUS)
        async with on_air(station), Source(station.url, Codec.OPUS) as source:
            playing = asyncio.create_task(station.play(0.02))
            with pytest.raises(NetworkError, match="does not know this user and password"):
                await IcecastRelay(mount(port, "wrong")).run(source)
            playing.cancel()


@ICECAST
async def test_while_the_feed_is_away_listeners_get_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "QUIET_S", 0.1)
    port, station = free_port(), Station(Codec.OPUS)
    with icecast(tmp_path, port):
        async with on_air(station), Source(station.url, Codec.OPUS) as source:
            relay = IcecastRelay(mount(port))
            task = asyncio.create_task(relay.run(source))
            await station.heard()
            station.send(5)
            await connected(relay)
            reader, writer = await tune_in(port)
            await pages(reader, 20)
            writer.close()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert (relay.connections, station.sent) == (1, 5)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.0 403 Full\r\n\r\n"])
async def test_a_server_that_will_not_have_it_is_asked_again(answer: bytes) -> None:
    async def turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(turn_away, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with relaying(mount(port), Station(Codec.OPUS)) as (_, told):
        async with asyncio.timeout(30):
            while sum("trying again" in line for line in told) < 2:
                await asyncio.sleep(0.02)
    server.close()
    assert "right" not in "".join(told)
    assert not answer.startswith(b"HTTP") or "Icecast refuses: HTTP/1.0 403 Full" in told[0]


def test_an_address_is_read_and_its_password_is_not_shown() -> None:
    found = Mount.parse("icecasts://dj:a%40b@radio.example:8443/x.opus")
    assert found == Mount("radio.example", 8443, "/x.opus", "dj", "a@b", tls=True)
    assert "a@b" not in repr(found) and str(found) == "radio.example:8443/x.opus"
    given = Mount.parse("icecast://radio.example/x.opus", "secret")
    assert given == replace(found, port=8000, user="source", password="secret", tls=False)
    assert b"Authorization: Basic c291cmNlOnNlY3JldA==" in given.request()


@pytest.mark.parametrize(
    ("address", "lacks"),
    [
        ("icecast://source@host:8000/x", "a password"),
        ("icecast://:p@/x", "a host"),
        ("icecast://:p@host/", "a mount"),
        ("icecast://:p@host:99999/x", "broken"),
        ("icecastle://:p@host/x", "icecast://"),
    ],
)
def test_an_address_that_lacks_something_is_refused(address: str, lacks: str) -> None:
    with pytest.raises(UsageError, match=lacks):
        Mount.parse(address)
