"""A feed as HLS segments in a folder, for any web server and any CDN in front of it.

Every file appears whole, under its name, or not at all; the playlist names files that are there.
A segment stays for as long as the list lasts after it has left it, and is deleted then.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from engine.errors import UsageError
from engine.relays.aac import FRAME_SAMPLES, RATE_HZ, AacEncoder
from engine.relays.playlist import NAME, Playlist, Segment
from engine.relays.source import Source
from engine.relays.ts import TransportStream
from engine.session import Floats
from engine.wire.client import Heard
from engine.wire.packets import decode_packet

LIST = "live.m3u8"
SEGMENT_S = 4.0
SIZE = 6
QUIET_S = 1.0
"""A feed that is away for so long is filled with silence."""


class HlsFolder:
    """Takes audio, and writes segments and their list."""

    def __init__(
        self, folder: Path, *, segment_s: float = SEGMENT_S, size: int = SIZE,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """UsageError without PyAV, and for a folder that cannot be written."""
        self._encoder = AacEncoder()
        self._stream = TransportStream(RATE_HZ, FRAME_SAMPLES)
        self._folder = folder
        self._frames_each = round(segment_s * RATE_HZ / FRAME_SAMPLES)
        self._size = size
        self._tell = tell
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._playlist = self._resumed()
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from None
        self._frames: list[bytes] = []
        self._broken = self._playlist.next_number > 0  # another run's come before

    def write(self, audio: Floats, rate_hz: int) -> None:
        """Take float32[samples, channels]; what is full of it goes to the disk."""
        self._frames += self._encoder.encode(audio, rate_hz)
        while len(self._frames) >= self._frames_each:
            whole = self._frames[: self._frames_each]
            del self._frames[: self._frames_each]
            self._save(whole)

    def _save(self, frames: list[bytes]) -> None:
        """One segment; a disk that does not take it costs this segment and no other."""
        seconds = len(frames) * FRAME_SAMPLES / RATE_HZ
        segment = Segment(self._playlist.next_number, seconds, self._broken)
        try:
            self._place(segment.name, self._stream.segment(frames))
            self._playlist.add(segment)
            self._place(LIST, self._playlist.text().encode())
            self._broken = False
        except OSError as error:
            self._tell(f"{self._folder}: {segment.name} is lost: {error.strerror or error}")
            self._broken = True
        self._sweep(segment.number)

    def _place(self, name: str, content: bytes) -> None:
        """Write a file that is there whole or not at all; OSError, and nothing is left of it."""
        beside = self._folder / f"{name}.part"
        try:
            beside.write_bytes(content)
            os.replace(beside, self._folder / name)
        except OSError:
            with suppress(OSError):
                beside.unlink()
            raise

    def _sweep(self, newest: int) -> None:
        """Delete the segments that nobody can want any more, also those of an earlier run."""
        kept = {NAME.format(newest - back) for back in range(2 * self._size)}
        for path in self._folder.glob(NAME.replace("{:08}", "*")):
            if path.name not in kept:
                with suppress(OSError):
                    path.unlink()

    def _resumed(self) -> Playlist:
        """The list that an earlier run has left, so that numbers are never used again."""
        try:
            return Playlist.read((self._folder / LIST).read_text(), self._size)
        except (FileNotFoundError, ValueError):
            return Playlist(self._size)


class HlsRelay:
    """Hands packets of a source, in s16, on to a folder."""

    def __init__(self, folder: HlsFolder) -> None:
        self._folder = folder

    async def run(self, source: Source) -> None:
        """Relay until cancelled; raises what the source raises."""
        packet = await source.next()
        assert packet is not None, "it was waited for"
        rate_hz, channels = packet.header.sample_rate_hz, packet.header.channels
        while True:
            if packet is None:
                audio = np.zeros((round(QUIET_S * rate_hz), channels), np.float32)
            else:
                rate_hz, channels = packet.header.sample_rate_hz, packet.header.channels
                audio = samples_of(packet)
            await asyncio.to_thread(self._folder.write, audio, rate_hz)
            packet = await source.next(QUIET_S)


def samples_of(packet: Heard) -> Floats:
    """float32[samples, channels] of a PCM packet."""
    return decode_packet(packet.header.pack() + packet.payload)[1]
