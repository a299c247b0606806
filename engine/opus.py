"""Opus, by PyAV: audio in, one Opus packet out for each packet of the feed, and back.

PyAV's wheels carry libopus, so nothing has to be installed beside Python. It is imported when a
codec is made; where it is missing, the error names the extra that brings it.

An Opus packet holds 2.5 to 120 ms; from 20 ms on it is a bundle of 20 ms frames. libopus takes
audio at 8, 12, 16, 24 and 48 kHz as it is; other rates are resampled to 48 kHz first. What a
decoder puts out lies `delay_samples` behind what went in: libopus looks 6.5 ms ahead, and the
resampler, which hands its output out in pieces, has 50 ms to do so.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from engine.errors import UsageError
from engine.session import Floats

if TYPE_CHECKING:
    from types import ModuleType

RATE_HZ = 48000
"""Opus decodes at this rate, whatever it was made from."""

KBPS = 64
"""Of each channel: transparent to most ears (RFC 6716 names 64 … 128 for stereo music)."""

NATIVE_HZ = (8000, 12000, 16000, 24000, 48000)
PACKET_US = (2500, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 120000)
MOST_CHANNELS = 2
LEAD_SAMPLES = 2400
"""At 48 kHz; soxr was never seen to keep more than 42 ms back."""

PRE_SKIP = 312
"""At 48 kHz: what libopus looks ahead, 2.5 ms of overlap and 4 ms for the choice of its modes."""

MISSING = "needs PyAV: pip install 'perpetuo[opus]'"


def available() -> bool:
    """True if Opus can be made here; imports nothing."""
    return find_spec("av") is not None


def packet_us(rate_hz: int, samples: int) -> int | None:
    """How long a packet of so many samples is for Opus, in µs; None if there are none so long."""
    length, rest = divmod(samples * 1_000_000, rate_hz)
    return length if not rest and length in PACKET_US else None


def delay_samples(rate_hz: int) -> int:
    """How far, at `rate_hz`, what a decoder puts out lies behind what the encoder took."""
    lead = 0 if rate_hz in NATIVE_HZ else LEAD_SAMPLES
    return round((PRE_SKIP + lead) * rate_hz / RATE_HZ)


class OpusEncoder:
    """A continuous stream of audio to Opus packets of one length."""

    def __init__(self, rate_hz: int, channels: int, packet_samples: int) -> None:
        """UsageError without PyAV, and for packets that Opus cannot be as long as."""
        length_us = packet_us(rate_hz, packet_samples)
        if length_us is None:
            raise UsageError(
                f"{packet_samples} samples at {rate_hz} Hz are no length of an Opus packet: "
                f"it holds {', '.join(f'{us / 1000:g}' for us in PACKET_US)} ms"
            )
        self.channels = min(channels, MOST_CHANNELS)
        self._resampler = None if rate_hz in NATIVE_HZ else _Resampler(rate_hz, self.channels)
        self._rate_hz = rate_hz if self._resampler is None else RATE_HZ
        self._coder = _coder(self._rate_hz, self.channels, length_us)

    def encode(self, audio: Floats) -> bytes:
        """The Opus packet of a packet float32[packet_samples, channels]; the first two are taken.

        Audio beyond full scale is clipped, as it is in s16.
        """
        audio = np.clip(audio[:, : self.channels], -1.0, 1.0)
        if self._resampler is not None:
            audio = self._resampler.take(audio, self._coder.frame_size)
        frame = library().AudioFrame.from_ndarray(
            np.ascontiguousarray(audio).reshape(1, -1), format="flt", layout=_layout(self.channels)
        )
        frame.sample_rate = self._rate_hz
        (packet,) = self._coder.encode(frame)
        return bytes(packet)


class OpusDecoder:
    """Opus packets to audio at 48 kHz."""

    def __init__(self, channels: int) -> None:
        """UsageError without PyAV."""
        self.channels = channels
        self._coder = library().CodecContext.create("libopus", "r")
        self._coder.sample_rate = RATE_HZ
        self._coder.layout = _layout(channels)
        self._coder.open()

    def decode(self, packet: bytes) -> Floats:
        """float32[samples, channels] of one packet; ValueError if it is none."""
        av = library()
        try:
            frames = self._coder.decode(av.Packet(packet))
        except av.FFmpegError as error:
            raise ValueError(f"no Opus packet: {error}") from None
        values = [frame.to_ndarray().reshape(-1, self.channels) for frame in frames]
        audio = np.concatenate([np.zeros((0, self.channels), np.int16), *values])
        return audio.astype(np.float32) / np.float32(32768.0)


class _Resampler:
    """To 48 kHz, `LEAD_SAMPLES` late, so that there is always a whole packet to take."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._stream = soxr.ResampleStream(rate_hz, RATE_HZ, channels, dtype="float32")
        self._waiting: Floats = np.zeros((LEAD_SAMPLES, channels), np.float32)

    def take(self, audio: Floats, count: int) -> Floats:
        """The next `count` samples at 48 kHz, for as much time as `audio` lasts."""
        made = self._stream.resample_chunk(np.ascontiguousarray(audio))
        ready = np.concatenate([self._waiting, made.reshape(-1, audio.shape[1])])
        self._waiting = ready[count:]
        return ready[:count]


def _coder(rate_hz: int, channels: int, length_us: int) -> Any:
    coder = library().CodecContext.create("libopus", "w")
    coder.sample_rate, coder.layout, coder.format = rate_hz, _layout(channels), "flt"
    coder.bit_rate = 1000 * KBPS * channels
    coder.options = {"frame_duration": f"{length_us / 1000:g}", "application": "audio"}
    coder.open()
    return coder


def _layout(channels: int) -> str:
    return "mono" if channels == 1 else "stereo"


def library(what: str = "Opus") -> ModuleType:
    """PyAV; UsageError says what needs it, where it is missing."""
    try:
        import av
    except ImportError:
        raise UsageError(f"{what} {MISSING}") from None
    return av
