"""Opus: what comes out is what went in, where the encoder says it is."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

from engine import opus
from engine.errors import UsageError
from engine.opus import (
    KBPS,
    PRE_SKIP,
    RATE_HZ,
    OpusDecoder,
    OpusEncoder,
    available,
    delay_samples,
    packet_us,
)
from engine.session import Floats


@pytest.fixture
def _av() -> None:
    pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")


def music(rate_hz: int, channels: int, seconds: float = 2.0) -> Floats:
    """Tones that never repeat, other ones in every channel."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    sides = [
        0.3 * np.sin(2 * np.pi * (300 + 400 * side + 250 * time_s) * time_s)
        for side in range(channels)
    ]
    return np.stack(sides, axis=1).astype(np.float32)


def there_and_back(audio: Floats, rate_hz: int, samples: int) -> list[Floats]:
    encoder = OpusEncoder(rate_hz, audio.shape[1], samples)
    decoder = OpusDecoder(encoder.channels)
    starts = range(0, audio.shape[0] - samples + 1, samples)
    return [decoder.decode(encoder.encode(audio[at : at + samples])) for at in starts]


def resampled(audio: Floats, rate_hz: int) -> Floats:
    import soxr

    return np.asarray(soxr.resample(audio, rate_hz, RATE_HZ))


@pytest.mark.usefixtures("_av")
@pytest.mark.parametrize(
    ("rate_hz", "channels", "samples"),
    [(24000, 1, 2400), (48000, 2, 4800), (24000, 2, 240), (44100, 2, 4410), (22050, 1, 441)],
)
def test_the_music_comes_back_where_the_delay_says(
    rate_hz: int, channels: int, samples: int
) -> None:
    audio = music(rate_hz, channels)
    decoded = there_and_back(audio, rate_hz, samples)
    assert {piece.shape for piece in decoded} == {(samples * RATE_HZ // rate_hz, channels)}
    truth, heard = resampled(audio, rate_hz), np.concatenate(decoded)
    late = round(delay_samples(rate_hz) * RATE_HZ / rate_hz)
    begin, end = RATE_HZ // 2, RATE_HZ * 3 // 2
    rest = heard[begin + late : end + late] - truth[begin:end]
    assert np.sqrt((rest**2).mean()) < 0.05 * np.sqrt((truth[begin:end] ** 2).mean())


@pytest.mark.usefixtures("_av")
def test_a_packet_is_small_and_a_bundle_of_20_ms_frames() -> None:
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (48000, 2)).astype(np.float32)
    encoder = OpusEncoder(24000, 2, 2400)
    packets = [encoder.encode(audio[at : at + 2400]) for at in range(0, 48000, 2400)]
    wanted = 2 * KBPS * 1000 * 0.1 / 8
    assert 0.5 * wanted < np.mean([len(packet) for packet in packets]) < 1.5 * wanted
    assert all(packet[0] & 3 == 3 and packet[1] & 63 == 5 for packet in packets)


@pytest.mark.usefixtures("_av")
def test_the_library_says_that_it_looks_as_far_ahead() -> None:
    header = OpusEncoder(24000, 1, 2400)._coder.extradata
    assert struct.unpack_from("<H", header, 10) == (PRE_SKIP,)
    assert delay_samples(24000) == 156


@pytest.mark.usefixtures("_av")
def test_more_channels_than_two_are_left_out_and_loud_audio_is_clipped() -> None:
    audio = np.full((2400, 6), 9.0, np.float32)
    encoder = OpusEncoder(24000, 6, 2400)
    assert encoder.channels == 2
    heard = OpusDecoder(2).decode(encoder.encode(audio))
    assert np.isfinite(heard).all() and np.abs(heard).max() <= 1.0


@pytest.mark.usefixtures("_av")
def test_what_is_no_packet_is_refused() -> None:
    with pytest.raises(ValueError, match="no Opus packet"):
        OpusDecoder(1).decode(b"\xff\xff\xff")
    with pytest.raises(UsageError, match="1000 samples at 24000 Hz"):
        OpusEncoder(24000, 1, 1000)


def test_lengths_that_opus_has() -> None:
    assert packet_us(24000, 2400) == 100_000
    assert packet_us(44100, 4410) == 100_000
    assert packet_us(24000, 60) == 2_500
    assert packet_us(11025, 1102) is None
    assert packet_us(24000, 24000) is None


def test_without_the_library_the_error_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert not available()
    with pytest.raises(UsageError, match=r"pip install 'perpetuo\[opus\]'"):
        opus.OpusEncoder(24000, 1, 2400)
