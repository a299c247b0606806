"""A clip of two seconds as one vector.

It holds what a listener tells music apart by, from fixed rules only:

- mel: mean and spread in time of 20 bands, movement from frame to frame of 10        50 values
- chroma, whatever the key: correlation with itself rotated by 1…6 semitones, best
  key, flatness, spread in time, change over 0.1 and 0.5 s                             11 values
- onsets: pulse at eight tempo lags, onset rate, mean and peak flux of six bands       21 values
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.music import (
    ONSET_RATE_HZ,
    autocorrelation,
    chroma,
    key_strengths,
    onset_flux,
    onset_strength,
)
from bench.spectra import FFT_SAMPLES, Array, mel_power, mono

CLIP_S = 2.0
CLIP_FLOOR_POWER = 1e-8
DIMENSION = 82
TEMPO_LAGS_BPM = (60.0, 72.0, 84.0, 96.0, 112.0, 132.0, 156.0, 184.0)


def clips(audio: npt.ArrayLike, rate_hz: int, clip_s: float = CLIP_S) -> list[Array]:
    """Cut into whole clips of `clip_s`, one after the other; what is left over is dropped."""
    samples = mono(audio)
    size = round(clip_s * rate_hz)
    return [samples[start : start + size] for start in range(0, len(samples) - size + 1, size)]


def embed(clip: npt.ArrayLike, rate_hz: int) -> Array:
    """The vector `[82]` of one clip."""
    samples = mono(clip)
    parts = [mel_part(samples, rate_hz), chroma_part(samples, rate_hz)]
    return np.concatenate([*parts, onset_part(samples, rate_hz)])


def embed_all(songs: Sequence[npt.ArrayLike], rate_hz: int) -> list[Array]:
    """For each song the vectors of its clips `[clips, 82]`."""
    return [np.array([embed(clip, rate_hz) for clip in clips(song, rate_hz)]) for song in songs]


def _grouped(values: Array, groups: int) -> Array:
    return np.stack([part.mean(axis=1) for part in np.array_split(values, groups, axis=1)], axis=1)


def mel_part(samples: Array, rate_hz: int) -> Array:
    """Level in dB re full scale: 20 means, 20 spreads, 10 movements."""
    power = mel_power(samples, rate_hz) / FFT_SAMPLES
    level = 10.0 * np.log10(power + CLIP_FLOOR_POWER)
    twenty, ten = _grouped(level, 20), _grouped(level, 10)
    return np.concatenate(
        [twenty.mean(axis=0), twenty.std(axis=0), np.diff(ten, axis=0).std(axis=0)]
    )


def chroma_part(samples: Array, rate_hz: int) -> Array:
    """Harmony without its key: 11 values that a transposition leaves alone."""
    frames = chroma(samples, rate_hz)
    shares = frames / np.maximum(frames.sum(axis=1, keepdims=True), 1e-12)
    mean = shares.mean(axis=0)
    centred = mean - mean.mean()
    variance = max(float(centred @ centred), 1e-12)
    rotated = [float(centred @ np.roll(centred, turn)) / variance for turn in range(1, 7)]
    flatness = float(-(mean * np.log(mean + 1e-12)).sum() / np.log(12.0))
    changes = [float(np.abs(shares[lag:] - shares[:-lag]).sum(axis=1).mean()) for lag in (2, 12)]
    best_key = float(key_strengths(mean).max())
    return np.array([*rotated, best_key, flatness, float(shares.std(axis=0).mean()), *changes])


def onset_part(samples: Array, rate_hz: int) -> Array:
    """Pulse and attacks: 8 correlations at tempo lags, 1 rate, 6 mean and 6 peak fluxes."""
    strength = onset_strength(samples, rate_hz)
    lags = [60.0 * ONSET_RATE_HZ / bpm for bpm in TEMPO_LAGS_BPM]
    pulse = np.interp(lags, np.arange(len(strength)), autocorrelation(strength))
    bands = _grouped(onset_flux(samples, rate_hz), 6)
    peak = np.quantile(bands, 0.98, axis=0)
    return np.concatenate([pulse, [onset_rate(strength)], bands.mean(axis=0), peak])


def onset_rate(strength: Array) -> float:
    """Onsets a second: local maxima over ±30 ms that rise more than 2 dB above their second."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(strength, 3), 7).max(axis=1)
    onsets = (strength >= around) & (strength > 2.0)
    return float(onsets.sum() * ONSET_RATE_HZ / len(strength))
