"""Pitch and pulse by fixed rules: chroma and key, onsets and tempo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.spectra import Array, mel_filters, mono, power_spectrogram

PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
CHROMA_WINDOW_S = 0.17
CHROMA_LOWEST_HZ = 80.0
CHROMA_HIGHEST_HZ = 2000.0
ONSET_RATE_HZ = 100
ONSET_WINDOW_S = 0.043
ONSET_BANDS = 40
FLOOR_POWER = 1e-6
TEMPO_TOLERANCE = 0.04

# Krumhansl and Kessler 1982, probe-tone ratings of the major and the minor key.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_SCALE_STEPS = (0, 2, 4, 5, 7, 9, 11)


@dataclass(frozen=True)
class Key:
    """A key and how clearly it is heard: the correlation with its Krumhansl profile, -1…1."""

    tonic: int
    minor: bool
    strength: float

    @property
    def name(self) -> str:
        """For example "F# minor"."""
        return f"{PITCH_CLASSES[self.tonic]} {'minor' if self.minor else 'major'}"


def _window_samples(seconds: float, rate_hz: int) -> int:
    return int(2 ** round(math.log2(seconds * rate_hz)))


def chroma(audio: npt.ArrayLike, rate_hz: int) -> Array:
    """Pitch-class strength `[frames, 12]`, C first: the magnitudes of spectral peaks, 80-2000 Hz.

    A peak's frequency is that of the parabola through the logarithms of its three bins, and its
    magnitude is shared between the two nearest pitch classes.
    """
    fft_samples = _window_samples(CHROMA_WINDOW_S, rate_hz)
    power = power_spectrogram(audio, fft_samples, fft_samples // 4) + 1e-20
    frame, peak = np.nonzero(_peaks(power))
    left, top, right = (np.log(power[frame, peak + offset]) for offset in (0, 1, 2))
    shift = 0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-9)
    hz = (peak + 1 + shift) * rate_hz / fft_samples
    heard = (hz >= CHROMA_LOWEST_HZ) & (hz <= CHROMA_HIGHEST_HZ)
    pitch = 12.0 * np.log2(hz[heard] / 440.0) + 9.0
    return _fold(frame[heard], pitch, np.exp(0.5 * top[heard]), len(power))


def _peaks(power: Array) -> npt.NDArray[np.bool_]:
    middle = power[:, 1:-1]
    above = middle > 1e-6 * power.max(axis=1, keepdims=True)
    return np.asarray(above & (middle > power[:, :-2]) & (middle >= power[:, 2:]))


def _fold(frame: npt.NDArray[np.int64], pitch: Array, weight: Array, frames: int) -> Array:
    low = np.floor(pitch).astype(np.int64)
    upper_share = pitch - low
    slots = np.concatenate([frame * 12 + low % 12, frame * 12 + (low + 1) % 12])
    shares = np.concatenate([weight * (1.0 - upper_share), weight * upper_share])
    folded = np.bincount(slots, shares, minlength=frames * 12)
    return folded.reshape(frames, 12).astype(np.float64, copy=False)


@lru_cache(maxsize=1)
def _key_profiles() -> Array:
    rows = [np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)]
    centred = np.array(rows) - np.mean(rows, axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def key_strengths(mean_chroma: npt.ArrayLike) -> Array:
    """Correlation of a chroma vector `[12]` with the 24 keys: 12 major, then 12 minor."""
    vector = np.asarray(mean_chroma, dtype=np.float64)
    centred = vector - vector.mean()
    return np.asarray(_key_profiles() @ centred / max(float(np.linalg.norm(centred)), 1e-12))


def key_of(mean_chroma: npt.ArrayLike) -> Key:
    """The key whose profile fits a chroma vector `[12]` best (Krumhansl and Schmuckler)."""
    strengths = key_strengths(mean_chroma)
    best = int(np.argmax(strengths))
    return Key(best % 12, best >= 12, float(strengths[best]))


def scale_tonic(mean_chroma: npt.ArrayLike) -> int:
    """Tonic of the major scale whose seven notes hold most of the chroma `[12]`.

    The notes of a piece are heard far more surely than which of them is home: on the corpus's own
    songs this finds the right notes in 82 % of stretches of 8-16 s, the profiles in 48 %, as most
    of its styles are modal.
    """
    vector = np.asarray(mean_chroma, dtype=np.float64)
    held = [vector[[(tonic + step) % 12 for step in _SCALE_STEPS]].sum() for tonic in range(12)]
    return int(np.argmax(held))


def key_score(found: Key, wanted: Key) -> float:
    """MIREX's weighted key score: same 1, a fifth away 0.5, relative 0.3, parallel 0.2, else 0."""
    interval = (found.tonic - wanted.tonic) % 12
    if found.minor == wanted.minor:
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(interval, 0.0)
    relative = 9 if found.minor else 3
    return {relative: 0.3, 0: 0.2}.get(interval, 0.0)


def onset_flux(audio: npt.ArrayLike, rate_hz: int) -> Array:
    """Rise of the log mel spectrum `[frames, 40]`, dB a 10 ms frame: attacks, band by band."""
    fft_samples = _window_samples(ONSET_WINDOW_S, rate_hz)
    power = power_spectrogram(mono(audio), fft_samples, rate_hz // ONSET_RATE_HZ)
    scaled = power @ mel_filters(rate_hz, fft_samples, ONSET_BANDS) / fft_samples
    level = 10.0 * np.log10(scaled + FLOOR_POWER)
    return np.maximum(0.0, np.diff(level, axis=0, prepend=level[:1]))


def onset_strength(audio: npt.ArrayLike, rate_hz: int) -> Array:
    """Mean flux over the bands, less its mean over the surrounding second `[frames]`."""
    flux = onset_flux(audio, rate_hz).mean(axis=1)
    width = min(ONSET_RATE_HZ, len(flux))
    around = np.convolve(flux, np.ones(width), "same") / np.convolve(
        np.ones(len(flux)), np.ones(width), "same"
    )
    return np.asarray(flux - around)


def autocorrelation(signal: Array) -> Array:
    """Unbiased autocorrelation `[len]`, 1 at lag 0 (0 everywhere for a silent signal)."""
    count = len(signal)
    spectrum = np.fft.rfft(signal, 2 * count)
    raw = np.fft.irfft(np.abs(spectrum) ** 2)[:count] / np.arange(count, 0, -1)
    return np.asarray(raw / raw[0]) if raw[0] > 1e-12 else np.zeros(count)


def tempo_bpm(audio: npt.ArrayLike, rate_hz: int) -> float:
    """Beats a minute, 50-200: the period whose first four multiples correlate best.

    A log-normal preference around 110 settles octaves. 0.0 where nothing recurs.
    """
    correlation = autocorrelation(onset_strength(audio, rate_hz))
    candidates = np.geomspace(50.0, 200.0, 800)
    lags = 60.0 * ONSET_RATE_HZ / candidates
    usable = 0.75 * len(correlation)
    score = np.zeros_like(candidates)
    weight = np.zeros_like(candidates)
    for multiple in (1, 2, 3, 4):
        at = lags * multiple
        inside = at < usable
        score += inside * np.interp(at, np.arange(len(correlation)), correlation)
        weight += inside
    preference = np.exp(-0.5 * (np.log2(candidates / 110.0) / 0.9) ** 2)
    ranked = preference * score / np.maximum(weight, 1)
    best = int(np.argmax(ranked))
    return float(candidates[best]) if ranked[best] > 0 else 0.0


def same_tempo(found_bpm: float, wanted_bpm: float) -> bool:
    """Within 4 %, an octave up or down allowed."""
    if found_bpm <= 0 or wanted_bpm <= 0:
        return False
    ratios = [found_bpm * octave / wanted_bpm for octave in (0.5, 1.0, 2.0)]
    return any(abs(ratio - 1.0) <= TEMPO_TOLERANCE for ratio in ratios)
