"""The feed as clients of Lyria RealTime hear it: 48 kHz, stereo, written once for all of them."""

from __future__ import annotations

from collections import deque

import numpy as np
import soxr

from engine.session import Floats
from engine.sinks.feed import Packet
from engine.spec import AudioSpec
from engine.wire.lyria_messages import CHANNELS, RATE_HZ, Sources, audio_chunk


class Studio:
    """One stream of audio at the feed's rate to 48 kHz stereo."""

    def __init__(self, audio: AudioSpec) -> None:
        self._channels = min(audio.channels, CHANNELS)
        self._stream = soxr.ResampleStream(
            audio.sample_rate_hz, RATE_HZ, self._channels, dtype="float32"
        )

    def convert(self, audio: Floats) -> Floats:
        """float32[samples, channels] to float32[n, 2] at 48 kHz, up to 50 ms behind.

        soxr hands its output out in pieces, so n varies, and may be 0 for a short packet. Mono goes
        to both sides; of more than two channels the first two are taken.
        """
        wanted = np.ascontiguousarray(audio[:, : self._channels])
        made: Floats = self._stream.resample_chunk(wanted)
        return made if self._channels == CHANNELS else np.repeat(made, CHANNELS, axis=1)


class Reel:
    """The packets just played, and the messages made of them while anybody wants them."""

    def __init__(self, audio: AudioSpec, sources: Sources, packets: int) -> None:
        """Keeps so many `packets`; what they were made from is asked of `sources`."""
        self._audio = audio
        self._sources = sources
        self._studio: Studio | None = None
        self._recent: deque[Packet] = deque(maxlen=packets)
        self._written: deque[tuple[int, str]] = deque(maxlen=packets)

    def add(self, packet: Packet, *, wanted: bool) -> str | None:
        """The next packet of the feed, as a message if it is wanted; else it is only kept.

        None, too, where all of it is still in the resampler: then the next message is longer.
        """
        self._recent.append(packet)
        if not wanted:
            self._studio = None
            self._written.clear()
            return None
        return self._write(packet)

    def since(self, sequence: int) -> list[tuple[int, str]]:
        """The messages of the packets kept that come after this one, with their sequence."""
        if self._studio is None:
            for packet in self._recent:
                self._write(packet)
        return [(number, text) for number, text in self._written if number > sequence]

    def _write(self, packet: Packet) -> str | None:
        self._studio = self._studio or Studio(self._audio)
        audio = self._studio.convert(packet.audio)
        if not audio.shape[0]:
            return None
        text = audio_chunk(audio, self._sources.at(packet.header.idea_revision))
        self._written.append((packet.header.sequence, text))
        return text
