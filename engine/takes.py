"""Reading the recording that is to be continued, whatever it is, and saying what was done to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr

from engine.errors import TakeError
from engine.session import Floats

MOST_S = 60.0
"""Only the end of a take is continued; no more than this is read."""

RATES_HZ = (1000, 768_000)
"""Sample rates that are believed."""

SILENT_LEVEL = 1e-4
"""Peak below which a take is called silent: −80 dB."""

END_WINDOW_S = 0.2
END_DB = -30.0
"""An end this far below the loudest moment of a take is a fade or silence, not music."""


@dataclass(frozen=True, slots=True)
class Take:
    """A recording at the bundle's rate: float32[samples, channels]; notes say what was done."""

    audio: Floats
    notes: list[str] = field(default_factory=list)


def read_take(path: Path | str, sample_rate_hz: int, channels: int) -> Take:
    """The end of any file that soundfile reads, resampled and mixed.

    Samples that are not finite become 0, levels over full scale are scaled down, a silent or
    fading end is left out, a silent take is allowed; each is noted. TakeError in one line for
    what cannot be continued.
    """
    path = Path(path)
    notes: list[str] = []
    audio, rate_hz = _read(path, notes)
    _mend(audio, notes)
    audio = _mixed(audio, channels, notes)
    if rate_hz != sample_rate_hz:
        notes.append(f"resampled from {rate_hz} to {sample_rate_hz} Hz")
        audio = soxr.resample(audio, rate_hz, sample_rate_hz)
    if not audio.shape[0]:
        raise TakeError(f"{path} is too short to hold a sample at {sample_rate_hz} Hz")
    peak = float(np.abs(audio).max())
    if peak > 1.0:
        notes.append(f"scaled down by {20 * np.log10(peak):.1f} dB to full scale")
        audio = audio / np.float32(peak)
    if peak < SILENT_LEVEL:
        notes.append("it is silent: what follows is free")
    else:
        audio = _to_the_last_music(audio, sample_rate_hz, notes)
    return Take(np.ascontiguousarray(audio, np.float32), notes)


def _read(path: Path, notes: list[str]) -> tuple[Floats, int]:
    if not path.exists():
        raise TakeError(f"{path} does not exist")
    if not path.is_file():
        raise TakeError(f"{path} is not a file")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz: int = file.samplerate
            if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
                raise ValueError(f"a rate of {rate_hz:,} Hz")
            most = round(MOST_S * rate_hz)
            if file.frames > most and file.seekable():
                notes.append(f"the last {MOST_S:g} s of {file.frames / rate_hz:.1f} s")
                file.seek(file.frames - most)
            audio = file.read(dtype="float32", always_2d=True)
    except (RuntimeError, OSError, ValueError, MemoryError) as error:
        raise TakeError(f"{path} is not audio that can be read: {_reason(error)}") from None
    if not audio.shape[0]:
        raise TakeError(f"{path} is empty: it holds no samples")
    return audio, rate_hz


def _reason(error: Exception) -> str:
    words = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return str(words).strip().rstrip(".")


def _mend(audio: Floats, notes: list[str]) -> None:
    broken = ~np.isfinite(audio)
    count = int(broken.sum())
    if count:
        notes.append(f"{count:,} samples were not finite numbers and were set to 0")
        audio[broken] = 0.0


def _mixed(audio: Floats, channels: int, notes: list[str]) -> Floats:
    """Mono from the mean; otherwise the first channels, with the mean of all others in each."""
    found = audio.shape[1]
    if found == channels:
        return audio
    if found < channels:
        notes.append(f"{found} channels spread over {channels}")
        return np.repeat(audio.mean(axis=1, keepdims=True), channels, axis=1)
    notes.append(f"{found} channels mixed down to {channels}")
    if channels == 1:
        mono: Floats = audio.mean(axis=1, keepdims=True)
        return mono
    mixed: Floats = 0.5 * (audio[:, :channels] + audio[:, channels:].mean(axis=1, keepdims=True))
    return mixed


def _to_the_last_music(audio: Floats, sample_rate_hz: int, notes: list[str]) -> Floats:
    """The take up to where its level last came near its loudest; all of it if it is very short."""
    window = round(END_WINDOW_S * sample_rate_hz)
    count = audio.shape[0] // window
    if not count:
        return audio
    start = audio.shape[0] - count * window  # windows are counted from the end
    power = np.square(audio[start:]).reshape(count, -1).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (END_DB / 10))
    end = start + (int(loud[-1]) + 1) * window
    if end < audio.shape[0]:
        left_out_s = (audio.shape[0] - end) / sample_rate_hz
        notes.append(f"goes on from {left_out_s:.1f} s before its end, where the music fades")
    return audio[:end]
