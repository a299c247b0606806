"""HLS: a reader that is not ours plays the folder, and nothing in it is ever half there."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from broadcasting import RATE_HZ, Station, on_air, tone

from engine.errors import UsageError
from engine.relays import hls
from engine.relays.hls import HlsFolder, HlsRelay
from engine.relays.source import Source
from engine.wire.packets import Codec

FFPROBE = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs: apt install ffmpeg")


@pytest.fixture
def _av() -> None:
    pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")


def play(folder: HlsFolder, seconds: float, start: int = 0) -> None:
    for at in range(start, start + round(seconds * RATE_HZ), 2400):
        folder.write(tone(at, 2400), RATE_HZ)


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def listed(path: Path) -> list[str]:
    lines = (path / hls.LIST).read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@FFPROBE
@pytest.mark.usefixtures("_av")
def test_ffprobe_and_ffmpeg_play_the_list(tmp_path: Path) -> None:
    play(HlsFolder(tmp_path, segment_s=1.0), 5.5)
    assert len(listed(tmp_path)) == 5
    address = str(tmp_path / "ended.m3u8")  # a live list is waited for without end
    Path(address).write_text((tmp_path / hls.LIST).read_text() + "#EXT-X-ENDLIST\n")
    asked = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_packets", address]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(told.stdout)
    made = next(one for one in found["streams"] if one["codec_type"] == "audio")
    assert (made["codec_name"], made["sample_rate"], made["channels"]) == ("aac", "48000", 2)
    times = [float(one["pts_time"]) for one in found["packets"] if one["codec_type"] == "audio"]
    assert len(times) == 5 * 47
    np.testing.assert_allclose(np.diff(times[4:]), 1024 / 48000, atol=1e-4)  # 4: while it guesses

    wav = tmp_path / "a.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", address, wav], check=True, timeout=60)
    audio, rate_hz = soundfile.read(wav, always_2d=True)
    assert rate_hz == 48000 and abs(audio.shape[0] - 5 * 48000) < 4800
    loud = np.sqrt((audio[4800:-4800] ** 2).mean(axis=0))
    np.testing.assert_allclose(loud, 0.3 / np.sqrt(2), rtol=0.02)


@pytest.mark.usefixtures("_av")
def test_the_list_rolls_and_old_segments_are_deleted(tmp_path: Path) -> None:
    folder = HlsFolder(tmp_path, segment_s=0.2, size=3)
    (tmp_path / "perpetuo-99999999.ts").write_bytes(b"of an earlier run")
    for start in range(0, 10 * RATE_HZ, RATE_HZ):
        play(folder, 1.0, start)
        assert set(listed(tmp_path)) <= set(names(tmp_path))
    assert len(listed(tmp_path)) == 3
    assert len(names(tmp_path)) == 2 * 3 + 1
    assert not [name for name in names(tmp_path) if name.endswith(".part")]


@pytest.mark.usefixtures("_av")
def test_a_later_run_goes_on_with_new_numbers_behind_a_break(tmp_path: Path) -> None:
    play(HlsFolder(tmp_path, segment_s=0.2), 1.0)
    before = listed(tmp_path)
    play(HlsFolder(tmp_path, segment_s=0.2), 0.5)
    assert len(set(listed(tmp_path)) - set(before)) == 2
    text = (tmp_path / hls.LIST).read_text()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert text.index("#EXT-X-DISCONTINUITY\n") > text.index(before[-1])


@pytest.mark.usefixtures("_av")
def test_a_full_disk_costs_a_segment_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    folder = HlsFolder(tmp_path, segment_s=0.2, tell=told.append)
    play(folder, 1.0)
    before = names(tmp_path), (tmp_path / hls.LIST).read_text()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_bytes", full)
        play(folder, 0.5, RATE_HZ)
    assert "is lost: No space left on device" in told[0]
    assert (names(tmp_path), (tmp_path / hls.LIST).read_text()) == before
    play(folder, 1.0, 2 * RATE_HZ)
    assert "#EXT-X-DISCONTINUITY\n" in (tmp_path / hls.LIST).read_text()
    assert set(listed(tmp_path)) <= set(names(tmp_path))


@pytest.mark.usefixtures("_av")
async def test_the_relay_fills_what_the_feed_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hls, "QUIET_S", 0.05)
    station = Station(Codec.PCM_S16LE)
    async with on_air(station), Source(station.url, Codec.PCM_S16LE) as source:
        folder = HlsFolder(tmp_path, segment_s=0.2)
        relaying = asyncio.create_task(HlsRelay(folder).run(source))
        await station.heard()
        station.send(10)
        async with asyncio.timeout(30):
            while not (tmp_path / hls.LIST).exists() or len(listed(tmp_path)) < 6:
                await asyncio.sleep(0.02)
        relaying.cancel()
        with suppress(asyncio.CancelledError):
            await relaying


@pytest.mark.usefixtures("_av")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        HlsFolder(tmp_path / "file")


def test_without_the_library_the_error_names_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"HLS needs PyAV: pip install 'perpetuo\[opus\]'"):
        HlsFolder(tmp_path)
