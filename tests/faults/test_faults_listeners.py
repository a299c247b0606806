"""Faults of those who listen: nobody else hears of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.faults.ears import ear, memory_mb
from tests.serving import PROTOCOLS, get, listening, metrics, say, small_socket
from tests.watching import served

Told = Callable[[str], None]

STORM = int(os.environ.get("FAULTS_STORM", "2000"))
FLOOD = int(os.environ.get("FAULTS_FLOOD", "50000"))


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 25), (0.9, 60)])
async def test_slow_listener(told: Told, share: float, seconds: float) -> None:
    with served() as running:
        async with ear(running.feed) as good:
            link = small_socket(running.port)
            async with listening(running.feed, sock=link, max_queue=1) as slow:
                packet_s = 0.1
                began_s, got = monotonic(), 0
                with suppress(ConnectionClosed):  # skipping did not help: it was cut
                    while monotonic() - began_s < seconds:
                        got += isinstance(await slow.recv(), bytes)
                        due_s = began_s + got * packet_s / share
                        await asyncio.sleep(max(0.0, due_s - monotonic()))
                now = await metrics(running.port)
                slow.transport.abort()
        assert good.unbroken and good.musical
        skipped = now["packets_skipped_total"]
        assert skipped
        gone = now.get("listeners_gone_total{behind}", 0)
        told(f"{skipped:.0f} packets skipped, {gone:.0f} cut; the others: {good.gaps()}")


async def test_stalled_reader(told: Told) -> None:
    with served() as running:
        async with ear(running.feed) as good:
            feed = running.child("feed")
            assert feed is not None
            before_mb, began_s = memory_mb(feed), monotonic()
            for _ in range(10):
                link = small_socket(running.port)
                bad = await connect(running.feed, subprotocols=PROTOCOLS, sock=link, max_queue=1)
                await bad.send('{"type":"hello","codec":"pcm_f32le"}')
                bad.transport.pause_reading()
            while (await metrics(running.port)).get("listeners_gone_total{behind}", 0) < 10:
                assert monotonic() - began_s < 120
                await asyncio.sleep(0.1)
            took_s = monotonic() - began_s
            grown_mb = memory_mb(feed) - before_mb
            await good.more(20)
        assert good.unbroken and good.musical
        assert grown_mb < 50
        told(f"10 cut within {took_s:.1f} s, memory {grown_mb:+.1f} MB; others: {good.gaps()}")


FROZEN = """
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


async def test_half_open_tcp(told: Told) -> None:
    with served() as running:
        client = subprocess.Popen(
            [sys.executable, "-c", FROZEN, running.feed], stdout=subprocess.PIPE, text=True
        )
        try:
            assert client.stdout is not None
            await asyncio.to_thread(client.stdout.readline)
            assert (await metrics(running.port))["connections"] == 1
            os.kill(client.pid, signal.SIGSTOP)
            began_s = monotonic()
            while (now := await metrics(running.port))["connections"]:
                assert monotonic() - began_s < 60
                await asyncio.sleep(0.1)
            took_s = monotonic() - began_s
        finally:
            client.kill()
            client.wait()
        reasons = [name for name, count in now.items() if count and "gone_total{" in name]
        told(f"gone after {took_s:.1f} s ({', '.join(reasons)})")


STORMING = """
import asyncio, json, sys
from collections import Counter

ASKED = (
    b"GET /feed HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n"
    b"Sec-WebSocket-Protocol: perpetuo.v1\\r\\n\\r\\n"
)
took = []  # who is let in stays until all have their answers

async def knock(port):
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASKED)
        head = await asyncio.wait_for(reader.readuntil(b"\\r\\n\\r\\n"), 60)
    except (OSError, asyncio.IncompleteReadError):
        return "reset"
    status = head.split()[1].decode()
    if status == "101":
        took.append(writer)
    else:
        writer.close()
    return f"{status} with a hint" if b"retry-after" in head.lower() else status

async def storm(port, count):
    tasks = [asyncio.create_task(knock(port)) for _ in range(count)]
    print(json.dumps(Counter(await asyncio.gather(*tasks))))

asyncio.run(storm(int(sys.argv[1]), int(sys.argv[2])))
"""


async def test_connection_storm(told: Told) -> None:
    """All at once, by a process of its own: what the ear hears late was sent late."""
    with served() as running:
        async with ear(running.feed) as good:
            began_s = monotonic()
            storm = await asyncio.create_subprocess_exec(
                sys.executable, "-c", STORMING, str(running.port), str(STORM),
                stdout=subprocess.PIPE,
            )  # fmt: skip
            answers = Counter(json.loads((await storm.communicate())[0]))
            took_s = monotonic() - began_s
            await good.more(20)
            now = await metrics(running.port)
        assert good.unbroken and good.musical
        assert answers["503 with a hint"] >= STORM - 200
        assert set(answers) <= {"101", "503 with a hint"}
        assert not now["restarts_total{feed}"]
        told(f"{STORM} connects in {took_s:.1f} s: {dict(answers)}; others: {good.gaps()}")


async def test_control_flood(told: Told) -> None:
    with served() as running:
        async with (
            ear(running.feed) as good,
            listening(running.feed, max_queue=None) as flood,  # who does not read is cut
        ):
            answers: Counter[str] = Counter()

            async def read() -> None:
                with suppress(ConnectionClosed):
                    async for message in flood:
                        if isinstance(message, str):
                            said = json.loads(message)
                            answers[said.get("code") or said["type"]] += 1

            reading = asyncio.create_task(read())
            began_s = monotonic()
            for value in range(FLOOD):
                await say(flood, type="set", id=value, name="seed", value=value % 1000)
                if value % 10 == 0:
                    await asyncio.sleep(0)  # it reads what it is told, too
            await say(flood, type="set", id="last", name="seed", value=4321)
            sent_s = monotonic() - began_s
            took_s = await good.until(lambda: good.state.get("controls", {}).get("seed") == 4321)
            reading.cancel()
            await good.more(10)
        assert good.unbroken and good.musical
        assert answers["rate_limited"] >= 1
        told(
            f"{FLOOD} messages at {FLOOD / sent_s:.0f}/s, the last one held {took_s:.1f} s later, "
            f"{answers['rate_limited']} × rate_limited; others: {good.gaps()}"
        )


GARBAGE = (
    b"\x00" * 100, b"\xff" * 100, b"GET / HTTP/9.9\r\n\r\n", b"POST /feed HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 100_000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)  # fmt: skip
FRAMES = (
    b"\x83\x80abcd", b"\xc1\x80abcd", b"\x81\x05hello", b"\x80\x80abcd",
    b"\x89\xfe\x00\x80" + bytes(132),
    b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"abcd", b"\x81\x82abcd\x9f\x9e",
    b"\x88\x81abcdx", b"\x88\x82abcd\x62\x63",
)  # fmt: skip


async def test_malformed_frames(told: Told) -> None:
    with served() as running:
        async with ear(running.feed) as good:
            for piece in GARBAGE:
                await _send(running.port, b"", piece)
            closes = {frame: await _send(running.port, UPGRADE, frame) for frame in FRAMES}
            assert (await get(running.port, "/livez"))[0] == 200
            await good.more(10)
        assert good.unbroken and good.musical
        assert set(closes.values()) <= {1002, 1007, 1009}
        code, words = running.end()
        assert (code, words) == (130, "")  # no exception at the top
        codes = dict(Counter(closes.values()))
        told(f"{len(GARBAGE)} pieces of garbage; {len(FRAMES)} frames closed with {codes}")


UPGRADE = (
    b"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: perpetuo.v1\r\n\r\n"
)


async def _send(port: int, head: bytes, piece: bytes) -> int:
    """Send that; the code of the close frame that ends the answer, or 0."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if head:
            writer.write(head)
            await reader.readuntil(b"\r\n\r\n")
        writer.write(piece)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
    except OSError:
        return 0
    finally:
        writer.close()
    at = answer.rfind(b"\x88")
    return int.from_bytes(answer[at + 2 : at + 4], "big") if at >= 0 else 0
