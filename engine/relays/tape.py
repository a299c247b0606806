"""A feed to a file: WAV, FLAC or Ogg Vorbis of what is heard, or `.opus`, the packets as they are.

What a listener was not sent is silence in the file, so that it keeps the feed's time.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.errors import UsageError
from engine.opus import RATE_HZ, OpusDecoder
from engine.relays.ogg import OggOpus, silence
from engine.session import Floats
from engine.sinks.file import FileSink
from engine.spec import AudioSpec
from engine.wire.client import Heard
from engine.wire.packets import Codec, decode_packet

OPUS_SUFFIX = ".opus"
MOST_SILENCE_S = 60.0
"""A longer gap is cut to this."""


class Writer(Protocol):
    """A kind of file."""

    def packet(self, packet: Heard) -> None:
        """Append what is heard."""
        ...

    def silence(self, seconds: float) -> None:
        """Append nothing."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...


class Tape:
    """Writes the packets of one feed to one file, which begins with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0
        self.gaps = 0
        self._writer: Writer | None = None
        self._format = (0, 0)

    def write(self, packet: Heard) -> None:
        """Append a packet; UsageError for a disk that is full, and for another format than before.

        ValueError for a packet that is broken.
        """
        header = packet.header
        if self._writer is None:
            self._format = header.sample_rate_hz, header.channels
            self._writer = self._open(header.codec)
        if (header.sample_rate_hz, header.channels) != self._format:
            raise UsageError(f"the feed has another format now; {self.path} ends here")
        if packet.missed_samples:
            self.gaps += 1
            missed_s = min(packet.missed_samples / header.sample_rate_hz, MOST_SILENCE_S)
            self._writer.silence(missed_s)
            self.seconds += missed_s
        self._writer.packet(packet)
        self.seconds += header.samples / header.sample_rate_hz

    def close(self) -> None:
        """Complete the file, if it was begun."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, codec: Codec) -> Writer:
        rate_hz, channels = self._format
        if self.path.suffix.lower() == OPUS_SUFFIX:
            return _Packets(self.path, channels)
        if codec is Codec.OPUS:
            return _Decoded(self.path, channels)
        return _Samples(self.path, AudioSpec(rate_hz, channels))


class _Samples:
    """PCM, as it comes."""

    def __init__(self, path: Path, audio: AudioSpec) -> None:
        self._file = FileSink(path, audio)
        self._audio = audio

    def packet(self, packet: Heard) -> None:
        """Append what is heard."""
        self._file.write(decode_packet(packet.header.pack() + packet.payload)[1])

    def silence(self, seconds: float) -> None:
        """Append nothing."""
        samples = round(seconds * self._audio.sample_rate_hz)
        self._file.write(np.zeros((samples, self._audio.channels), np.float32))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()


class _Decoded(_Samples):
    """Opus, decoded to 48 kHz."""

    def __init__(self, path: Path, channels: int) -> None:
        self._decoder = OpusDecoder(channels)
        super().__init__(path, AudioSpec(RATE_HZ, channels))

    def packet(self, packet: Heard) -> None:
        """Append what is heard."""
        audio: Floats = self._decoder.decode(packet.payload)
        self._file.write(audio)


class _Packets:
    """Opus in Ogg, as it comes."""

    def __init__(self, path: Path, channels: int) -> None:
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
        self._channels = channels
        self._stream = OggOpus(channels, random.getrandbits(32))
        self._write(self._stream.head())

    def packet(self, packet: Heard) -> None:
        """Append what is heard."""
        header = packet.header
        samples = header.samples * RATE_HZ // header.sample_rate_hz
        self._write(self._stream.packet(packet.payload, samples))

    def silence(self, seconds: float) -> None:
        """Append nothing, to a tenth of a second."""
        for _ in range(round(10 * seconds)):
            self._write(self._stream.packet(silence(self._channels), RATE_HZ // 10))

    def close(self) -> None:
        """Complete the file."""
        try:
            self._write(self._stream.end())
        finally:
            self._file.close()

    def _write(self, page: bytes) -> None:
        try:
            self._file.write(page)
            self._file.flush()
        except OSError as error:
            raise UsageError(
                f"{self._file.name} could not be written: {error.strerror or error}"
            ) from None
