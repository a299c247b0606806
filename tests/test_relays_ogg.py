"""Ogg/Opus pages: a reader that is not ours reads them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from engine.relays.ogg import PRE_SKIP, OggOpus, crc, silence


def stream(packets: int, channels: int) -> bytes:
    ogg = OggOpus(channels, 99)
    pages = [ogg.packet(silence(channels), 4800) for _ in range(packets)]
    return b"".join([ogg.head(), *pages, ogg.end()])


def test_the_checksum_is_that_of_ogg() -> None:
    assert crc(b"123456789") == 0x89A1897F


@pytest.mark.parametrize("channels", [1, 2])
def test_libsndfile_reads_it(channels: int) -> None:
    import soundfile

    audio, rate_hz = soundfile.read(io.BytesIO(stream(20, channels)), always_2d=True)
    assert (audio.shape, rate_hz) == ((20 * 4800 - PRE_SKIP, channels), 48000)
    assert np.abs(audio).max() < 1e-4


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs: apt install ffmpeg")
def test_ffprobe_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.opus"
    path.write_bytes(stream(20, 2))
    asked = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_packets", path]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    assert not told.stderr
    found = json.loads(told.stdout)
    (made,) = found["streams"]
    assert (made["codec_name"], made["channels"]) == ("opus", 2)
    assert len(found["packets"]) == 20


def test_long_packets_and_too_long_ones() -> None:
    ogg = OggOpus(1, 1)
    assert ogg.packet(b"x" * 255, 1).count(b"\xff\x00x" + b"x") == 1
    with pytest.raises(ValueError, match="fits no page"):
        ogg.packet(b"x" * 65100, 1)
