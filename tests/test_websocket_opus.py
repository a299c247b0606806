"""Opus over the feed: in step with PCM, for late joiners too, and nobody needs it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from schema import faults
from serving import (
    get,
    listening,
    packets,
    playing_live,
    playing_tape,
    say,
    small_socket,
    text,
    until,
)
from test_protocol import SCHEMA
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from engine.cli import run
from engine.opus import RATE_HZ, OpusDecoder
from engine.wire.packets import HEADER_BYTES, Codec, Flag, PacketHeader

DELAY = 156
PACKET = 2400


@pytest.fixture
def _av() -> None:
    pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")


async def opus_packets(
    connection: ClientConnection, count: int
) -> list[tuple[PacketHeader, bytes]]:
    found: list[tuple[PacketHeader, bytes]] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            message = await connection.recv()
            if isinstance(message, bytes):
                found.append((PacketHeader.unpack(message), message[HEADER_BYTES:]))
    return found


@pytest.mark.usefixtures("_av")
async def test_opus_holds_the_same_music_as_pcm_at_the_same_positions() -> None:
    async with (
        playing_live(packet_s=0.1) as server,
        listening(f"ws://127.0.0.1:{server.port}/feed") as plain,
        listening(f"ws://127.0.0.1:{server.port}/feed", "opus") as small,
    ):
        assert plain.hello["codecs"] == ["pcm_s16le", "pcm_f32le", "opus"]
        assert plain.hello["opus"]["delay_samples"] == DELAY
        assert not faults(plain.hello, SCHEMA["$defs"]["server"], SCHEMA)
        start = await text(small, "start")
        assert start["codec"] == "opus" and not faults(start, SCHEMA["$defs"]["server"], SCHEMA)
        coded, decoder = await opus_packets(small, 12), OpusDecoder(1)
        pcm = {header.sequence: (header, audio) for header, audio in await packets(plain, 12)}
    begin = coded[0][0].position
    heard = np.concatenate([decoder.decode(payload) for _, payload in coded])
    heard = heard[:: RATE_HZ // 24000]
    for at, (header, _) in enumerate(coded):
        assert header.position == begin + at * PACKET
        assert (header.samples, header.channels) == (PACKET, 1)
        if header.sequence in pcm:
            other = pcm[header.sequence][0]
            assert header.position == other.position - DELAY
            assert (header.epoch, header.hand_revision) == (other.epoch, other.hand_revision)
    truth = np.concatenate([audio for _, audio in pcm.values()])
    first = next(iter(pcm.values()))[0].position
    low = max(first, begin) + PACKET  # a decoder needs 80 ms to settle
    piece, whole = heard[low - begin :], truth[low - first :]
    size = min(piece.shape[0], whole.shape[0])
    assert size >= 4 * PACKET
    rest = piece[:size] - whole[:size]
    assert np.sqrt((rest**2).mean()) < 0.1 * np.sqrt((whole[:size] ** 2).mean())


@pytest.mark.usefixtures("_av")
async def test_late_joiners_get_the_same_packets_again() -> None:
    async with playing_live(packet_s=0.1) as server:
        url = f"ws://127.0.0.1:{server.port}/feed"
        async with listening(url, "opus") as first:
            early = await opus_packets(first, 8)
            async with listening(url, "opus") as second:
                late = await opus_packets(second, 5)
    same = {header.sequence: payload for header, payload in early}
    assert late[0][0].codec is Codec.OPUS and late[0][0].flags & Flag.REPLAY
    shared = [(header, payload) for header, payload in late if header.sequence in same]
    assert shared and all(same[header.sequence] == payload for header, payload in shared)


@pytest.mark.usefixtures("_av")
async def test_a_listener_of_opus_that_stalls_is_cut() -> None:
    async with playing_tape(seconds=60.0, packet_s=0.01, cut_s=1.0, skip_s=0.6) as tape:
        port = tape.server.port
        stalled = connect(
            tape.url, sock=small_socket(port), subprotocols=[Subprotocol("perpetuo.v1")],
            compression=None, max_queue=1, close_timeout=0.1, ping_interval=None,
        )  # fmt: skip
        async with stalled as connection:
            await connection.recv()
            await say(connection, type="hello", codec="opus")
            connection.transport.pause_reading()
            gone = await until(port, "listeners_gone_total{behind}", 1)
            assert gone["connections"] == 0


async def test_without_the_library_pcm_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    async with playing_tape() as tape, listening(tape.url, "opus") as listener:
        assert listener.hello["codecs"] == ["pcm_s16le", "pcm_f32le"]
        assert listener.hello["opus"] is None
        refusal = await text(listener, "error")
        assert refusal["code"] == "bad_codec"
        assert "pip install 'perpetuo[opus]'" in refusal["message"]
        await say(listener, type="hello", codec="pcm_s16le")
        assert len(await packets(listener, 3)) == 3
        _, _, info = await get(tape.server.port, "/info")
        assert json.loads(info)["codecs"] == ["pcm_s16le", "pcm_f32le"]


@pytest.mark.usefixtures("_av")
@pytest.mark.parametrize("name", ["a.wav", "a.opus"])
async def test_perpetuo_listen_hears_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    async with playing_live(token="key") as server:
        words = ["listen", f"ws://127.0.0.1:{server.port}/feed", "-o", str(path),
                 "--codec", "opus", "--seconds", "2", "--token", "key"]  # fmt: skip
        assert await asyncio.to_thread(run, words) == 0
    audio, rate_hz = soundfile.read(path, always_2d=True)
    assert rate_hz == RATE_HZ and audio.shape[0] > 1.8 * RATE_HZ
    assert np.sqrt((audio**2).mean()) > 0.01
