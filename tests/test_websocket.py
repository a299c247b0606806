from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import (
    PROTOCOLS,
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
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.controls import Controls
from engine.errors import NetworkError
from engine.generator import Generator
from engine.runner import Runner
from engine.sinks.config import ServeConfig
from engine.sinks.feed import BlockLog
from engine.sinks.websocket import FeedServer
from engine.wire.native import Limits
from engine.wire.packets import Flag


async def closed_with(connection: object) -> int | None:
    """The code that the server closes with; what it sends before is dropped."""
    with pytest.raises(ConnectionClosed) as end:
        async with asyncio.timeout(30):
            while True:
                await connection.recv()  # type: ignore[attr-defined]
    return end.value.rcvd.code if end.value.rcvd else None


# ---- what a listener gets -------------------------------------------------------------------


async def test_a_listener_gets_every_sample_in_order() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        heard = await packets(listener, 40)
    assert listener.subprotocol == "perpetuo.v1"
    first = heard[0][0].position
    audio = np.concatenate([samples for _, samples in heard])[:, 0]
    np.testing.assert_array_equal(audio, np.arange(first, first + len(audio), dtype=np.float32))
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 40))
    assert {header.epoch for header, _ in heard} == {listener.hello["epoch"]}


async def test_the_hello_tells_what_plays_and_what_can_be_set() -> None:
    async with playing_tape(channels=2) as tape, listening(tape.url) as listener:
        hello = listener.hello
    assert hello["protocol"] == 1
    assert hello["audio"] == {"sample_rate_hz": 24000, "channels": 2, "packet_samples": 240}
    assert hello["window"] == {"chunk_samples": 7680, "chunks": 6, "steps": 10, "depth": 1}
    gain = next(control for control in hello["controls"] if control["name"] == "gain_db")
    assert (gain["kind"], gain["minimum"], gain["value"]) == ("hand", -60.0, 0.0)


async def test_late_joiners_get_the_last_packets_at_once() -> None:
    async with playing_tape() as tape:
        await until(tape.server.port, "packets_total", 30)
        async with listening(tape.url) as listener:
            heard = [header for header, _ in await packets(listener, 15)]
    replayed = [header for header in heard if header.flags & Flag.REPLAY]
    assert len(replayed) == 10
    assert heard[:10] == replayed
    sequences = [header.sequence for header in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 15))


async def test_each_listener_gets_its_own_codec() -> None:
    async with (
        playing_tape() as tape,
        listening(tape.url, "pcm_s16le") as small,
        listening(tape.url) as exact,
    ):
        (header, samples), (other, _) = (await packets(small, 1))[0], (await packets(exact, 1))[0]
    assert (header.codec.label, other.codec.label) == ("pcm_s16le", "pcm_f32le")
    assert samples.max() <= 1.0


async def test_the_state_comes_by_itself() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        state = await text(listener, "state")
    assert state["listeners"] == 1
    assert state["underruns"] == 0
    assert state["fill_ms"] > 1000
    assert state["controls"]["gain_db"] == 0.0


# ---- controls -------------------------------------------------------------------------------


async def test_a_hand_is_heard_where_its_answer_says() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await packets(listener, 3)
        await say(listener, type="set", id="m", name="mute", value=True)
        ack = await text(listener, "ack", "error")
        assert (ack["type"], ack["id"], ack["revision"]) == ("ack", "m", 1)
        heard = await packets(listener, 10)
    for header, audio in heard:
        plain = np.arange(header.position, header.position + header.samples)
        assert (header.hand_revision == 1) == (header.position >= ack["heard_at"])
        changed = np.flatnonzero(audio[:, 0] != plain)
        assert (changed.size > 0) == (header.position >= ack["heard_at"])
    assert not heard[-1][1].any()


async def test_a_refused_control_names_its_message_and_range() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await say(listener, type="set", id=5, name="gain_db", value=99)
        error = await text(listener, "ack", "error")
    assert (error["type"], error["code"], error["id"]) == ("error", "bad_control", 5)
    assert "-60 … 6 dB" in error["message"]


async def test_an_idea_is_not_heard_before_its_answer_says(
    generator: Generator, controls: Controls
) -> None:
    """Played by the real runner: the packets name the revision that made them."""
    blocks = BlockLog()
    runner = Runner(generator, controls, ring_s=0.6, on_block=blocks.note)
    config = ServeConfig(port=0, packet_s=0.02)
    server = FeedServer(
        config, ring=runner.ring, blocks=blocks, controls=controls, status=runner.status,
        bundle=generator.bundle, version="0",
    )  # fmt: skip
    await server.start()
    runner.start()
    try:
        async with listening(f"ws://127.0.0.1:{server.port}/feed") as listener:
            await packets(listener, 20)
            await say(listener, type="set", id=1, name="seed", value=7)
            ack = await text(listener, "ack")
            heard = [header for header, _ in await packets(listener, 1)]
            async with asyncio.timeout(60):
                while heard[-1].idea_revision < ack["revision"]:
                    heard += [header for header, _ in await packets(listener, 1)]
            state = await text(listener, "state")
    finally:
        await server.close()
        runner.stop()
    changed = heard[-1]
    assert changed.idea_revision == ack["revision"]
    assert ack["heard_at"] < changed.position + changed.samples
    if not runner.status().cover_blocks and not runner.ring.shortfalls:  # a machine that keeps up
        behind = changed.position + changed.samples - ack["heard_at"]
        assert behind % generator.chunk_samples <= changed.samples
        assert behind <= generator.chunk_samples + changed.samples
    assert state["rungs"]
    assert state["chunk"]["index"] >= 0


async def test_a_stalled_engine_stalls_nobody() -> None:
    """The ring runs dry: packets keep their pace and say that they hold filler."""
    async with playing_tape(seconds=0.6) as tape, listening(tape.url) as listener:
        heard = await packets(listener, 120)
        status, _, body = await get(tape.server.port, "/readyz")
        alive, _, _ = await get(tape.server.port, "/livez")
    assert heard[-1][0].flags == Flag.FILLER
    assert not heard[-1][1].any()
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 120))
    assert (status, alive) == (503, 200)
    assert b"ring is empty" in body


# ---- bad listeners --------------------------------------------------------------------------


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


# ---- who may come in ------------------------------------------------------------------------


async def test_a_wrong_token_is_closed_with_4401() -> None:
    limits = Limits(bad_token_s=0.05)
    async with playing_tape(token="right", limits=limits) as tape:
        async with connect(tape.url, subprotocols=PROTOCOLS) as stranger:
            assert json.loads(await stranger.recv())["token_required"]
            await say(stranger, type="hello", token="wrong")
            assert json.loads(await stranger.recv())["code"] == "bad_token"
            assert await closed_with(stranger) == 4401
        async with connect(tape.url, subprotocols=PROTOCOLS) as friend:
            await say(friend, type="hello", token="right")
            assert await packets(friend, 1)


async def test_who_says_no_hello_is_closed_with_4408() -> None:
    async with (
        playing_tape(limits=Limits(hello_s=0.1)) as tape,
        connect(tape.url, subprotocols=PROTOCOLS) as silent,
    ):
        assert await closed_with(silent) == 4408


async def test_beyond_the_cap_connections_are_refused_with_a_hint() -> None:
    async with playing_tape(max_connections=2) as tape:
        async with listening(tape.url) as first, listening(tape.url):
            results = await asyncio.gather(
                *(connect(tape.url, subprotocols=PROTOCOLS) for _ in range(30)),
                return_exceptions=True,
            )
            for result in results:
                assert isinstance(result, InvalidStatus)
                assert result.response.status_code == 503
                assert result.response.headers["Retry-After"]
            assert await packets(first, 3)
        async with listening(tape.url) as next_one:
            assert await packets(next_one, 1)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"subprotocols": None}, 400),
        ({"subprotocols": ["perpetuo.v9"]}, 400),
        ({"origin": "http://elsewhere.example"}, 403),
    ],
)
async def test_who_does_not_fit_is_refused(options: dict[str, object], status: int) -> None:
    async with playing_tape() as tape:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(tape.url, **({"subprotocols": PROTOCOLS} | options))  # type: ignore[arg-type]
    assert refusal.value.response.status_code == status


# ---- HTTP, TLS, start and end ---------------------------------------------------------------


async def test_the_http_side() -> None:
    async with playing_tape() as tape:
        await until(tape.server.port, "packets_total", 1)
        port = tape.server.port
        status, headers, body = await get(port, "/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"<title>perpetuo" in body
        info = json.loads((await get(port, "/info"))[2])
        assert info["feed"] == f"ws://127.0.0.1:{port}/feed"
        assert info["subprotocol"] == "perpetuo.v1"
        assert info["bundle"]["name"] == "standin"
        assert (await get(port, "/readyz"))[::2] == (200, b"ok\n")
        assert (await get(port, "/nothing"))[0] == 404
        assert (await get(port, "/feed"))[0] == 426
        assert (await metrics(port))["ring_fill_seconds"] > 1


async def test_before_the_first_block_it_lives_but_is_not_ready() -> None:
    async with playing_tape(seconds=1.0, prefill_s=9.0) as tape:
        tape.ring.read_samples = tape.ring.written_samples
        status, _, body = await get(tape.server.port, "/readyz")
        assert (await get(tape.server.port, "/livez"))[0] == 200
    assert status == 503 or b"ok" in body


async def test_a_port_in_use_is_one_line() -> None:
    async with playing_tape() as tape:
        with pytest.raises(NetworkError, match=f"127.0.0.1:{tape.server.port}.*in use"):
            async with playing_tape(port=tape.server.port):
                pass


async def test_bad_certificates_are_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "cert.pem"
    broken.write_text("nothing")
    for files in ({"tls_cert": str(broken)}, {"tls_cert": "none.pem"}, {"tls_key": "key.pem"}):
        with pytest.raises(NetworkError) as error:
            async with playing_tape(**files):
                pass
        assert "\n" not in str(error.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs: apt install openssl")
async def test_over_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    async with playing_tape(tls_cert=str(cert), tls_key=str(key)) as tape:
        trusted = ssl.create_default_context(cafile=str(cert))
        async with listening(tape.url.replace("ws:", "wss:"), ssl=trusted) as listener:
            heard = await packets(listener, 20)
        assert tape.server.url.startswith("https://127.0.0.1:")
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 20))


async def test_closing_tells_the_listeners() -> None:
    async with playing_tape() as tape, listening(tape.url) as listener:
        await packets(listener, 1)
        await tape.server.close()
        assert await closed_with(listener) == 1001


async def test_what_ends_the_feed_ends_run() -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the monitor failed")

    async with playing_tape() as tape:
        tape.server._monitor = broken
        with pytest.raises(RuntimeError, match="the monitor failed"):
            await asyncio.wait_for(tape.server.run(), 30)
        assert (await get(tape.server.port, "/livez"))[0] == 503
