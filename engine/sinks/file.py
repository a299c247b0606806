"""Audio to a file that is valid at any moment, also after Ctrl-C.

WAV is written with its header brought up to date at every block, so even a killed process leaves
a file that plays. FLAC and Ogg are completed when the sink is closed.
"""

from __future__ import annotations

import wave
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import soundfile

from engine.errors import UsageError
from engine.session import Floats
from engine.spec import AudioSpec

FORMATS = (".wav", ".flac", ".ogg")
MOST_WAV_BYTES = 2**32 - 1024


class _Writer(Protocol):
    def write(self, audio: Floats) -> None: ...

    def close(self) -> None: ...


class FileSink:
    """Writes float32[samples, channels] as 16-bit WAV or FLAC, or as Ogg Vorbis, by the name."""

    def __init__(self, path: Path | str, audio: AudioSpec) -> None:
        """UsageError if the name says no known format, or the file cannot be written."""
        self.path = Path(path)
        self.written_samples = 0
        suffix = self.path.suffix.lower()
        if suffix not in FORMATS:
            raise UsageError(f"{self.path}: a name that ends in {', '.join(FORMATS)} is needed")
        self._writer: _Writer
        try:
            self._writer = (_Wav if suffix == ".wav" else _Compressed)(self.path, audio)
        except (OSError, soundfile.LibsndfileError) as error:
            raise UsageError(f"{self.path} cannot be written: {_reason(error)}") from None

    def write(self, audio: Floats) -> None:
        """Append a block; UsageError when the disk or the format is full."""
        try:
            self._writer.write(audio)
        except (OSError, soundfile.LibsndfileError) as error:
            raise UsageError(
                f"{self.path} could not be written beyond {self.written_samples:,} samples: "
                f"{_reason(error)}"
            ) from None
        self.written_samples += audio.shape[0]

    def close(self) -> None:
        """Complete the file."""
        try:
            self._writer.close()
        except (OSError, soundfile.LibsndfileError) as error:
            raise UsageError(f"{self.path} could not be completed: {_reason(error)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Wav:
    """16-bit WAV; the standard library's writer mends the header after every block."""

    def __init__(self, path: Path, audio: AudioSpec) -> None:
        self._file = path.open("wb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115
        self._wave.setnchannels(audio.channels)
        self._wave.setsampwidth(2)
        self._wave.setframerate(audio.sample_rate_hz)
        self._wave.writeframes(b"")
        self._file.flush()
        self._frame_bytes = 2 * audio.channels

    def write(self, audio: Floats) -> None:
        """Append a block and bring the header up to date."""
        if (self._wave.tell() + audio.shape[0]) * self._frame_bytes > MOST_WAV_BYTES:
            raise OSError("a WAV file holds at most 4 GiB; write a .flac")
        pcm = np.rint(np.clip(audio, -1.0, 1.0) * 32767.0).astype("<i2")
        self._wave.writeframes(pcm.tobytes())
        self._file.flush()

    def close(self) -> None:
        """Complete the file."""
        try:
            self._wave.close()
        finally:
            self._file.close()


class _Compressed:
    """FLAC or Ogg Vorbis, by libsndfile."""

    def __init__(self, path: Path, audio: AudioSpec) -> None:
        vorbis = path.suffix.lower() == ".ogg"
        self._file = soundfile.SoundFile(
            path, "w", audio.sample_rate_hz, audio.channels, "VORBIS" if vorbis else "PCM_16",
            format="OGG" if vorbis else "FLAC",
        )  # fmt: skip

    def write(self, audio: Floats) -> None:
        """Append a block."""
        self._file.write(np.clip(audio, -1.0, 1.0))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()


def _reason(error: Exception) -> str:
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).strip().rstrip(".")
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
