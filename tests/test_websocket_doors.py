"""Who may come in, the HTTP side of the port, and TLS."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from certifying import certified, needs_openssl, trusting
from serving import (
    PROTOCOLS,
    closed_with,
    get,
    listening,
    metrics,
    packets,
    playing_tape,
    say,
    until,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.errors import NetworkError
from engine.sinks.device import DeviceStatus
from engine.wire.native import Limits


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


# ---- HTTP and TLS ---------------------------------------------------------------------------


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


@needs_openssl
async def test_over_tls(tmp_path: Path) -> None:
    files = certified(tmp_path)
    async with playing_tape(**files) as tape:
        async with listening(tape.url.replace("ws:", "wss:"), ssl=trusting(files)) as listener:
            heard = await packets(listener, 20)
        assert tape.server.url.startswith("https://127.0.0.1:")
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 20))


async def test_the_sound_device_is_in_info_and_metrics() -> None:
    status = DeviceStatus("Hall", True, 48000, 0.012, 100, 1, 2, 3, 4, 0.01, "it was away")
    async with playing_tape() as tape:
        _, _, body = await get(tape.server.port, "/info")
        assert json.loads(body)["device"] is None
        tape.server._device = lambda: status
        _, _, body = await get(tape.server.port, "/info")
        found = await metrics(tape.server.port)
    assert json.loads(body)["device"] == {
        "name": "Hall", "playing": True, "sample_rate_hz": 48000, "latency_ms": 12.0,
        "trouble": "it was away",
    }  # fmt: skip
    assert found["device_playing"] == 1 and found["device_restarts_total"] == 4


async def test_who_asks_while_it_closes_is_answered_and_nothing_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with playing_tape() as tape:
        port = tape.server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /info HTTP/1.1\r\n")
        await get(port, "/livez")  # so the other is inside by now
        closing = asyncio.create_task(tape.server.close())
        while tape.server._servers[0].is_serving():
            await asyncio.sleep(0)
        writer.write(b"Host: here\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 ")
        await closing
        writer.close()
        assert tape.server.port == port
    assert "failed" not in caplog.text
