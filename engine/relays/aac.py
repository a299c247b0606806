"""AAC in ADTS frames, by PyAV: what every player of HLS understands."""

from __future__ import annotations

import numpy as np
import soxr

from engine.opus import library
from engine.session import Floats

RATE_HZ = 48000
CHANNELS = 2
FRAME_SAMPLES = 1024
BITS_S = 128_000
ADTS_BYTES = 7
_RATE_INDEX = 3  # 48 kHz


class AacEncoder:
    """A continuous stream of audio, of whatever rate, to frames of 48 kHz stereo AAC-LC.

    Players guess wrongly about AAC of 24 kHz and less, so it is never made here.
    """

    def __init__(self) -> None:
        """UsageError without PyAV."""
        self._coder = library("HLS").CodecContext.create("aac", "w")
        self._coder.sample_rate, self._coder.layout = RATE_HZ, "stereo"
        self._coder.format, self._coder.bit_rate = "fltp", BITS_S
        self._coder.open()
        self._format: tuple[int, int] | None = None
        self._waiting = np.zeros((0, CHANNELS), np.float32)

    def encode(self, audio: Floats, rate_hz: int) -> list[bytes]:
        """The ADTS frames, of 1,024 samples at 48 kHz each, that float32[samples, channels] fills.

        Mono goes to both sides; of more than two channels the first two are taken.
        """
        wanted = np.ascontiguousarray(np.clip(audio[:, :CHANNELS], -1.0, 1.0))
        if self._format != (rate_hz, wanted.shape[1]):
            self._format = rate_hz, wanted.shape[1]
            self._stream = soxr.ResampleStream(rate_hz, RATE_HZ, wanted.shape[1], dtype="float32")
        made = self._stream.resample_chunk(wanted).reshape(-1, wanted.shape[1])
        sides = np.broadcast_to(made, (made.shape[0], CHANNELS))
        ready = np.concatenate([self._waiting, sides])
        whole = ready.shape[0] // FRAME_SAMPLES * FRAME_SAMPLES
        self._waiting = ready[whole:]
        frames = (ready[at : at + FRAME_SAMPLES] for at in range(0, whole, FRAME_SAMPLES))
        return [packet for frame in frames for packet in self._encode(frame)]

    def _encode(self, audio: Floats) -> list[bytes]:
        frame = library().AudioFrame.from_ndarray(
            np.ascontiguousarray(audio.T), format="fltp", layout="stereo"
        )
        frame.sample_rate = RATE_HZ
        return [adts(bytes(packet)) for packet in self._coder.encode(frame)]


def adts(frame: bytes) -> bytes:
    """A raw AAC-LC frame with its header of 7 bytes (ISO 13818-7, 6.2): 48 kHz, stereo."""
    length = ADTS_BYTES + len(frame)
    fields = 0xFFF1 << 40  # sync word, MPEG-4, no checksum
    fields |= 1 << 38 | _RATE_INDEX << 34 | CHANNELS << 30  # 1: AAC-LC
    fields |= length << 13 | 0x7FF << 2  # 0x7FF: a variable rate
    return fields.to_bytes(ADTS_BYTES) + frame
