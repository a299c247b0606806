"""`perpetuo listen` and `perpetuo relay` as they are typed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from broadcasting import Station, on_air, tone
from icecasting import PROGRAM, free_port, icecast

from engine.cli import run
from engine.wire.packets import Codec


@asynccontextmanager
async def playing(codec: Codec, pace_s: float = 0.02) -> AsyncIterator[Station]:
    async with on_air(Station(codec)) as station:
        task = asyncio.create_task(station.play(pace_s))
        yield station
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def typed(*words: object) -> int:
    return await asyncio.to_thread(run, [str(word) for word in words])


async def test_a_feed_is_written_to_a_file(tmp_path: Path) -> None:
    async with playing(Codec.PCM_S16LE) as station:
        assert await typed("listen", station.url, "-o", tmp_path / "a.wav", "--seconds", 1) == 0
    audio, rate_hz = soundfile.read(tmp_path / "a.wav", always_2d=True, dtype="float32")
    assert rate_hz == 24000 and audio.shape[0] >= 24000
    assert np.abs(audio).max() == pytest.approx(np.abs(tone(0, 24000)).max(), abs=1e-3)


async def test_opus_packets_are_written_as_they_are(tmp_path: Path) -> None:
    async with playing(Codec.OPUS) as station:
        assert await typed("listen", station.url, "-o", tmp_path / "a.opus", "--seconds", 1) == 0
        assert station.hellos[0]["codec"] == "opus"
    assert soundfile.info(tmp_path / "a.opus").format == "OGG"


async def test_a_relay_fills_a_folder_until_it_is_told_to_end(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")
    async with playing(Codec.PCM_S16LE, 0.005) as station:
        command = [sys.executable, "-m", "engine", "relay", f"hls:{tmp_path / 'web'}",
                   "--from", station.url]  # fmt: skip
        with subprocess.Popen(command) as process:
            async with asyncio.timeout(60):
                while not (tmp_path / "web" / "live.m3u8").exists():
                    await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 30) == 128 + signal.SIGTERM


@pytest.mark.skipif(PROGRAM is None, reason="needs: apt install icecast2")
async def test_a_relay_takes_its_password_from_the_environment(tmp_path: Path) -> None:
    port = free_port()
    with icecast(tmp_path, port):
        async with playing(Codec.OPUS) as station:
            to = f"icecast://source@127.0.0.1:{port}/x.opus"
            command = [sys.executable, "-m", "engine", "relay", to, "--from", station.url]
            given = os.environ | {"PERPETUO_ICECAST_PASSWORD": "right"}
            with subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                said = await asyncio.to_thread(process.stderr.readline)
                process.send_signal(signal.SIGINT)
                assert await asyncio.to_thread(process.wait, 30) == 128 + signal.SIGINT
    assert said == f"127.0.0.1:{port}/x.opus: connected\n"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("relay", "hls:"), 2, "hls:FOLDER"),
        (("relay", "ftp://x"), 2, "hls:FOLDER"),
        (("relay", "icecast://:p@host"), 2, "lacks a mount"),
        (("listen",), 2, "-o/--output"),
        (("listen", "-o", "a.mp3"), 2, "a name that ends in"),
        (("listen", "-o", "a.opus", "--codec", "s16"), 2, "takes --codec opus"),
        (("listen", "-o", "a.wav", "--seconds", "-1"), 2, "no number of seconds"),
        (("listen", "ws://127.0.0.1:1/feed", "-o", "a.wav"), 5, "cannot be listened to"),
        (("listen", "ftp://x", "-o", "a.wav"), 2, "no address of a feed"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: tuple[str, ...], code: int, line: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("PERPETUO_ICECAST_PASSWORD", raising=False)
    assert run(words) == code
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not Path("a.wav").exists()


async def test_a_refused_listener_is_told_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_air(Station(Codec.PCM_S16LE)) as station:
        station.refusal = {"code": "bad_token", "message": "this feed asks for a token"}
        assert await typed("listen", station.url, "-o", tmp_path / "a.wav") == 5
    assert "refuses (bad_token): this feed asks for a token" in capsys.readouterr().err
