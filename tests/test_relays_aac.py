"""AAC: whatever the feed's format, frames of 48 kHz stereo come out, and nothing is lost."""

from __future__ import annotations

import io

import numpy as np
import pytest

from engine.relays.aac import CHANNELS, FRAME_SAMPLES, RATE_HZ, AacEncoder, adts
from engine.session import Floats

av = pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")


def tone(rate_hz: int, channels: int) -> Floats:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz)
    return np.repeat(wave.astype(np.float32)[:, None], channels, axis=1)


def decoded(frames: list[bytes]) -> Floats:
    """By another decoder: float32[samples, channels]."""
    with av.open(io.BytesIO(b"".join(frames)), format="aac") as file:
        assert file.streams.audio[0].rate == RATE_HZ
        return np.concatenate([frame.to_ndarray().T for frame in file.decode(audio=0)])


@pytest.mark.parametrize(
    ("rate_hz", "channels"), [(24000, 1), (48000, 2), (44100, 2), (24000, 6), (22050, 1)]
)
def test_any_format_becomes_48_khz_stereo(rate_hz: int, channels: int) -> None:
    encoder, audio = AacEncoder(), tone(rate_hz, channels)
    step = rate_hz // 10
    pieces = [audio[at : at + step] for at in range(0, audio.shape[0], step)]
    frames = [frame for piece in pieces for frame in encoder.encode(piece, rate_hz)]
    assert abs(len(frames) - 2 * RATE_HZ / FRAME_SAMPLES) <= 4
    heard = decoded(frames)
    assert heard.shape[1] == CHANNELS
    loud = np.sqrt((heard[RATE_HZ // 2 : RATE_HZ] ** 2).mean(axis=0))
    np.testing.assert_allclose(loud, 0.3 / np.sqrt(2), rtol=0.02)


def test_another_format_may_follow() -> None:
    encoder = AacEncoder()
    encoder.encode(tone(24000, 1), 24000)
    assert len(encoder.encode(tone(48000, 2), 48000)) > 80


def test_an_adts_frame_says_what_it_is() -> None:
    frame = adts(bytes(100))
    assert frame[:4] == bytes([0xFF, 0xF1, 0x4C, 0x80]) and len(frame) == 107
    assert (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5 == 107
