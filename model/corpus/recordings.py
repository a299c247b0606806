"""Reading music files of any kind for training: one rate, one channel count, no endings.

Whatever soundfile opens is resampled, mixed to the wanted channels and cut to the stretches
in which music plays, because a model that hears endings and silence learns to stop.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "flac", "ogg", "oga", "opus", "mp3", "aif", "aiff", "aifc", "au", "snd"),
        *("caf", "w64", "rf64", "m4a", "aac", "wma", "mp4"),
    )
)
MINIMUM_S = 8.0
_FRAME_S = 0.1
_SMOOTH_FRAMES = 10
_SILENCE_DB = -40.0
_SILENCE_S = 1.5
_FADE_DB = -12.0
_BLOCK_SAMPLES = 1 << 18
_NON_FINITE_LIMIT = 0.01


class RecordingError(ValueError):
    """A file that cannot be used, in one line that says why."""


def find_recordings(folder: Path) -> list[Path]:
    """Audio files below `folder` by suffix, sorted; hidden files and stems are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(
            part.startswith(".") or part.endswith(".stems")
            for part in path.relative_to(folder).parts
        )
    )


def to_channels(audio: Audio, channels: int) -> Audio:
    """float32[samples, any] -> float32[samples, channels]; channel i goes to i mod channels."""
    if audio.shape[1] < channels:
        return np.repeat(audio[:, :1], channels, axis=1)
    mixed = [audio[:, first::channels].mean(axis=1) for first in range(channels)]
    return np.stack(mixed, axis=1).astype(np.float32)


def read_recording(path: Path, sample_rate_hz: int, channels: int) -> Audio:
    """Decode, mix and resample a file -> float32[samples, channels].

    A few values that are not finite become zero; over one in a hundred, or a file that
    soundfile cannot read, is a RecordingError.
    """
    try:
        with soundfile.SoundFile(path) as file:
            return _decode(file, sample_rate_hz, channels)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = str(error).split("': ")[-1].strip() or type(error).__name__
        raise RecordingError(f"unreadable ({reason})") from error


def _decode(file: soundfile.SoundFile, sample_rate_hz: int, channels: int) -> Audio:
    resampler = soxr.ResampleStream(file.samplerate, sample_rate_hz, channels, dtype="float32")
    pieces: list[Audio] = []
    bad = total = 0
    for block in file.blocks(_BLOCK_SAMPLES, dtype="float32", always_2d=True):
        finite = np.isfinite(block)
        bad, total = bad + int((~finite).sum()), total + block.size
        clean = np.where(finite, block, np.float32(0))
        pieces.append(resampler.resample_chunk(to_channels(clean, channels)))
    if total == 0:
        raise RecordingError("empty")
    if bad > _NON_FINITE_LIMIT * total:
        raise RecordingError(f"{bad} of {total} values are not finite")
    pieces.append(resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True))
    return np.concatenate([piece.reshape(-1, channels) for piece in pieces])


def _levels_db(audio: Audio, frame: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level of every 0.1 s in dBFS: of itself, and averaged over 1 s around it."""
    count = len(audio) // frame
    power = np.square(audio[: count * frame]).reshape(count, -1).mean(axis=1, dtype=np.float64)
    smooth = np.ones(_SMOOTH_FRAMES)
    spread = np.convolve(power, smooth, "same") / np.convolve(np.ones(count), smooth, "same")
    return 10 * np.log10(power + 1e-12), 10 * np.log10(spread + 1e-12)


def music_spans(audio: Audio, sample_rate_hz: int) -> list[tuple[int, int]]:
    """[start, stop) samples of the stretches of at least 8 s in which music plays.

    A pause (40 dB under the median level) of over 1.5 s ends a stretch. Its edges move
    inwards to where the level is within 12 dB of the stretch's own median, which takes
    fade-ins, fade-outs and last notes away.
    """
    frame = round(_FRAME_S * sample_rate_hz)
    if len(audio) < frame * _SMOOTH_FRAMES:
        return []
    sharp, levels = _levels_db(audio, frame)
    loud = levels[levels > -60.0]
    if not len(loud):
        return []
    sounding = np.flatnonzero(levels > max(-60.0, float(np.median(loud)) + _SILENCE_DB))
    breaks = np.flatnonzero(np.diff(sounding) > _SILENCE_S / _FRAME_S) + 1
    spans = []
    for stretch in np.split(sounding, breaks):
        own = slice(stretch[0], stretch[-1] + 1)
        least = np.median(levels[own]) + _FADE_DB
        full = np.flatnonzero(np.minimum(sharp, levels)[own] > least) + stretch[0]
        start, stop = int(full[0]) * frame, (int(full[-1]) + 1) * frame
        if stop - start >= MINIMUM_S * sample_rate_hz:
            spans.append((start, stop))
    return spans


def level(audio: Audio, loudness_db: float = -18.0, peak: float = 0.97) -> Audio:
    """Scale to an RMS of `loudness_db` dBFS, or less where the peak would pass `peak`."""
    rms = float(np.sqrt(np.square(audio).mean(dtype=np.float64)))
    top = float(np.abs(audio).max())
    gain = min(10 ** (loudness_db / 20) / max(rms, 1e-9), peak / max(top, 1e-9))
    return audio * np.float32(gain)
