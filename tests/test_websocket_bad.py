"""Listeners that are slow, stalled, frozen or out of their mind: nobody else hears of them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys

import pytest
from serving import (
    PROTOCOLS,
    closed_with,
    get,
    listening,
    metrics,
    packets,
    playing_tape,
    say,
    small_socket,
    text,
    until,
)
from websockets.asyncio.client import connect

from engine.wire.native import Limits


async def test_a_stalled_reader_is_cut_and_the_others_hear_nothing_of_it() -> None:
    fast = {"rate_hz": 48000, "channels": 2, "skip_s": 0.5, "cut_s": 0.8}
    async with playing_tape(**fast) as tape, listening(tape.url) as good:
        stalled = small_socket(tape.server.port)
        async with connect(tape.url, subprotocols=PROTOCOLS, sock=stalled, max_queue=1) as bad:
            await bad.send('{"type":"hello","codec":"pcm_f32le"}')
            heard = await packets(good, 150)
            now = await until(tape.server.port, "listeners_gone_total{behind}", 1)
            bad.transport.abort()
    assert now["listeners"] == 1
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 150))


async def test_a_slow_reader_is_skipped_and_stays() -> None:
    """It reads one packet of every two; whether it is late is a matter of packets, not of time."""
    fast = {"rate_hz": 48000, "channels": 8, "skip_s": 0.4, "cut_s": 60.0}
    async with playing_tape(**fast) as tape, listening(tape.url) as good:
        link = small_socket(tape.server.port)
        async with listening(tape.url, sock=link, max_queue=1) as slow:
            heard: list[int] = []
            got: list[int] = []
            while len(heard) < 2000 and (not got or got[-1] - got[0] < len(got) + 5):
                heard += [header.sequence for header, _ in await packets(good, 2)]
                got += [header.sequence for header, _ in await packets(slow, 1)]
            now = await metrics(tape.server.port)
            slow.transport.abort()  # a farewell would wait for what it has not read
    assert now["packets_skipped_total"] > 0
    assert now["listeners"] == 2
    assert got == sorted(set(got))
    assert heard == list(range(heard[0], heard[0] + len(heard)))


CLIENT = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], subprotocols=["perpetuo.v1"]) as link:
    link.recv()
    link.send('{"type":"hello"}')
    link.recv()
    print("listening", flush=True)
    for message in link:
        pass
"""


async def test_a_listener_that_froze_is_gone() -> None:
    """SIGSTOP: TCP still answers, the listener does not; its pongs are missed."""
    patience = {"ping_s": 0.2, "pong_s": 0.4, "close_s": 0.2}
    async with playing_tape(**patience) as tape:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, tape.url], stdout=subprocess.PIPE, text=True
        )
        try:
            assert client.stdout is not None
            await asyncio.to_thread(client.stdout.readline)
            assert (await metrics(tape.server.port))["listeners"] == 1
            os.kill(client.pid, signal.SIGSTOP)
            now = await until(tape.server.port, "listeners_gone_total{1011}", 1)
        finally:
            client.kill()
            client.wait()
    assert now["connections"] == 0


async def test_a_large_message_closes_with_1009() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await listener.send("x" * 70_000)
        assert await closed_with(listener) == 1009


async def test_ten_megabytes_are_not_even_read() -> None:
    """The announced length is enough: the message ends where it starts."""
    async with playing_tape(ping_s=0.1, close_s=0.1) as tape:
        reader, writer = await asyncio.open_connection("127.0.0.1", tape.server.port)
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(
            f"GET /feed HTTP/1.1\r\nHost: x\r\n{upgrade}{key}"
            "Sec-WebSocket-Protocol: perpetuo.v1\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\xff" + (10_000_000).to_bytes(8, "big") + b"mask" + b"x" * 10_000_000)
        answer = await asyncio.wait_for(reader.read(), 30)
        now = await until(tape.server.port, "listeners_gone_total{1009}", 1)
        writer.close()
    assert b"\x03\xf1" in answer  # 1009 in the close frame
    assert now["connections"] == 0


async def test_text_that_is_not_utf8_closes_with_1007() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await listener.send(b"\xff\xfe", text=True)
        assert await closed_with(listener) == 1007


async def test_a_broken_frame_closes_with_1002() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        listener.transport.write(b"\xf3\x80\x00\x00\x00\x00")
        assert await closed_with(listener) == 1002


async def test_garbage_is_answered_and_the_feed_goes_on() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        for garbage in ("", "{", "[]", b"\x00\x01", '{"type":"set"}', '{"type":"nonsense"}'):
            await listener.send(garbage)
        codes = [(await text(listener, "error"))["code"] for _ in range(5)]
        assert await packets(listener, 3)
    assert codes == ["malformed"] * 4 + ["bad_control"]


@pytest.mark.parametrize("garbage", [b"\x00" * 4096, b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01" * 99])
async def test_garbage_on_the_port_is_not_an_exception(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing_tape() as tape:
        reader, writer = await asyncio.open_connection("127.0.0.1", tape.server.port)
        writer.write(garbage)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert (await get(tape.server.port, "/livez"))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_in_a_flood_of_controls_the_newest_wins() -> None:
    limits = Limits(messages_hz=50.0, burst=20.0)
    async with playing_tape(limits=limits) as tape, listening(tape.url) as flooder:
        async with listening(tape.url) as other:

            async def read() -> list[str]:
                told = []
                async for message in flooder:
                    if isinstance(message, str) and '"rate_limited"' in message:
                        told.append(message)
                return told

            reading = asyncio.create_task(read())
            for number in range(3000):
                await say(flooder, type="set", id=number, name="seed", value=number)
            async with asyncio.timeout(30):
                while tape.controls.snapshot().values["seed"] != 2999:
                    await asyncio.sleep(0.01)
            heard = [header.sequence for header, _ in await packets(other, 50)]
        await flooder.close()
        told = await reading
    assert told
    assert tape.controls.snapshot().revision < 1000
    assert heard == list(range(heard[0], heard[0] + 50))
