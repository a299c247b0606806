"""Spectra every measure here starts from, and the two that compare a copy with its original.

All of them take mono float audio `[samples]` and return float64. Nothing is learnt.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FFT_SAMPLES = 2048
HOP_SAMPLES = 512
NAMED_AT_HZ = 24_000
"""The rate of these; windows last as long at higher rates."""
MEL_BANDS = 80
MEL_LOWEST_HZ = 30.0
RELATIVE_FLOOR = 1e-8


def mono(audio: npt.ArrayLike) -> Array:
    """Mix `[samples, channels]` (or `[samples]`) down to `[samples]`."""
    array = np.asarray(audio, dtype=np.float64)
    return array if array.ndim == 1 else array.mean(axis=1)


def power_spectrogram(
    audio: npt.ArrayLike, fft_samples: int = FFT_SAMPLES, hop_samples: int = HOP_SAMPLES
) -> Array:
    """|STFT|² `[frames, fft_samples // 2 + 1]`: periodic Hann window, centred, reflected edges."""
    samples = mono(audio)
    pad = fft_samples // 2
    long_enough = len(samples) > pad
    padded = np.pad(samples, pad, mode="reflect") if long_enough else np.pad(samples, pad)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_samples)[::hop_samples]
    spectrum = np.fft.rfft(frames * _hann(fft_samples), axis=1)
    return np.asarray(spectrum.real**2 + spectrum.imag**2)


@lru_cache(maxsize=8)
def _hann(samples: int) -> Array:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)


def hz_to_mel(hz: npt.ArrayLike) -> Array:
    """HTK's mel scale: 2595·log10(1 + f/700)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0))


def mel_to_hz(mel: npt.ArrayLike) -> Array:
    """Inverse of `hz_to_mel`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel, dtype=np.float64) / 2595.0) - 1.0))


@lru_cache(maxsize=8)
def mel_filters(rate_hz: int, fft_samples: int = FFT_SAMPLES, bands: int = MEL_BANDS) -> Array:
    """HTK triangles of height 1 `[bins, bands]`, from 30 Hz to the Nyquist frequency."""
    edges_mel = np.linspace(hz_to_mel(MEL_LOWEST_HZ), hz_to_mel(rate_hz / 2), bands + 2)
    edges_hz = mel_to_hz(edges_mel)
    bins_hz = np.fft.rfftfreq(fft_samples, 1.0 / rate_hz)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    falling = (edges_hz[2:] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


def mel_power(audio: npt.ArrayLike, rate_hz: int) -> Array:
    """Mel power `[frames, 80]`."""
    factor = max(1, rate_hz // NAMED_AT_HZ)
    fft, hop = factor * FFT_SAMPLES, factor * HOP_SAMPLES
    return np.asarray(power_spectrogram(audio, fft, hop) @ mel_filters(rate_hz, fft))


def mel_db_error(estimate: npt.ArrayLike, reference: npt.ArrayLike, rate_hz: int) -> float:
    """Mean over frames and bands of |10·log10(estimate / reference)| of the mel power, in dB.

    Both powers are first raised to a floor of 1e-8 times the greatest mel power of the reference,
    80 dB below its loudest spot: an error in what nobody hears does not count.
    """
    wanted = mel_power(reference, rate_hz)
    got = mel_power(estimate, rate_hz)
    if wanted.shape != got.shape:
        raise ValueError(f"lengths differ: {got.shape[0]} frames against {wanted.shape[0]}")
    floor = max(RELATIVE_FLOOR * float(wanted.max()), np.finfo(np.float64).tiny)
    ratio = np.maximum(got, floor) / np.maximum(wanted, floor)
    return float(np.abs(10.0 * np.log10(ratio)).mean())


def si_sdr_db(estimate: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, eq. 4), mean removed.

    It follows the phase: a decoder that hears magnitudes only is near or below 0 dB however it
    sounds.
    """
    wanted = mono(reference) - mono(reference).mean()
    got = mono(estimate) - mono(estimate).mean()
    tiny = np.finfo(np.float64).tiny
    target = wanted * (got @ wanted) / max(float(wanted @ wanted), tiny)
    noise = got - target
    ratio = max(float(target @ target), tiny) / max(float(noise @ noise), tiny)
    return float(10.0 * np.log10(ratio))


def level_db(audio: npt.ArrayLike) -> float:
    """Root mean square in dB re full scale, at least -120."""
    samples = mono(audio)
    mean_square = float(np.mean(samples**2)) if samples.size else 0.0
    return float(10.0 * np.log10(max(mean_square, 1e-12)))
