"""A FLAC file that is valid at any moment, also after kill -9.

libsndfile writes a whole FLAC frame at once, and says only at the end how many samples there are;
until then readers take the file for broken. So the total in the header is brought up to date here
after every frame. The file appears with its first frame: until then there is nothing on the disk
that could be broken. What a killed process loses is less than two frames, 0.35 s at 24 kHz.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from engine.errors import UsageError
from engine.session import Floats
from engine.spec import AudioSpec

BLOCK_AT = 8
"""Where in a FLAC file its block size stands: 2 bytes, big endian."""

TOTAL_AT = 18
"""8 bytes: rate, channels and bits, and in the lowest 36 bits the samples in all."""

TOTAL_BITS = 36
HEADER_BYTES = 42
FIRST_SAMPLES = 4097
"""libFLAC writes a frame of 4,096 samples when it has seen one more."""


class LiveFlac:
    """Writes float32[samples, channels] as 16-bit FLAC."""

    def __init__(self, path: Path, audio: AudioSpec) -> None:
        """UsageError if the file is there already, or its folder cannot be written."""
        self.path = path
        self.samples = 0
        self._audio = audio
        self._file: soundfile.SoundFile | None = None
        self._header: int | None = None
        self._early: list[Floats] = []
        if path.exists():
            raise UsageError(f"{path} is there already: choose another name")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent} cannot be written: name a folder that can")

    def write(self, audio: Floats) -> None:
        """Append a block; OSError or soundfile.LibsndfileError when the disk is full."""
        self.samples += audio.shape[0]
        audio = np.clip(audio, -1.0, 1.0)
        if self._file is None:
            self._early.append(audio)
            if self.samples < FIRST_SAMPLES:
                return
            self._file, audio = self._open(), np.concatenate(self._early)
        self._file.write(audio)
        self._file.flush()
        self._mend()

    def close(self) -> None:
        """Complete the file, also after a failed write; without a sample there is no file."""
        try:
            if self._file is None and self.samples:
                self._file = self._open()
                self._file.write(np.concatenate(self._early))
            if self._file is not None:
                self._file.close()
        finally:
            if self._header is not None:
                os.close(self._header)
                self._header = None

    def _open(self) -> soundfile.SoundFile:
        file = soundfile.SoundFile(
            self.path, "x", self._audio.sample_rate_hz, self._audio.channels, "PCM_16",
            format="FLAC",
        )  # fmt: skip
        self._header = os.open(self.path, os.O_RDWR)
        return file

    def _mend(self) -> None:
        """Write into the header how many samples the whole frames hold."""
        assert self._header is not None
        head = os.pread(self._header, HEADER_BYTES, 0)
        if len(head) < HEADER_BYTES:
            return
        block = int.from_bytes(head[BLOCK_AT : BLOCK_AT + 2])
        word = int.from_bytes(head[TOTAL_AT : TOTAL_AT + 8])
        whole = (self.samples - 1) // block * block
        word = word >> TOTAL_BITS << TOTAL_BITS | whole
        os.pwrite(self._header, word.to_bytes(8), TOTAL_AT)
