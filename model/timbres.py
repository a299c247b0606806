"""The same music as other instruments, loudspeakers and rooms would have it.

A corpus that one synthesizer has played has one sound; recordings have any. What is made here of
an excerpt is a new excerpt, to be encoded and copied like any other: played faster and higher or
slower and lower, through an equaliser, in a room.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SEMITONES = 5.0
"""Higher or lower, at most."""
KNOT_HZ = (60.0, 160.0, 400.0, 1000.0, 2500.0, 6000.0, 12_000.0)
EQUALISER_DB = 5.0
"""Deviation of the gain at each knot; between them it is a line over log frequency."""
ROOM = 0.5
"""Part of the excerpts that stand in a room."""
ROOM_S = (0.05, 0.5)
ROOM_DB = (-24.0, -6.0)
"""Time in which a room dies away by 1/e, and its energy beside that of what is played in it."""


def longest_excerpt(samples: int) -> int:
    """Samples that a new excerpt may be made of, at most."""
    return math.ceil(samples * 2 ** (SEMITONES / 12))


def random_speed(rng: np.random.Generator) -> float:
    """How fast a new excerpt is played; 1 as it was."""
    return float(2 ** (rng.uniform(-SEMITONES, SEMITONES) / 12))


def in_other_timbres(audio: Floats, samples: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Excerpts [B, m, C] -> new ones [B, samples, C], as loud as before: m samples played in the
    time of `samples`, each excerpt through an equaliser of its own and half of them in a room.

    One pass through the spectrum of the whole excerpt: its end goes on into its beginning.
    """
    count, long, channels = audio.shape
    spectrum = np.fft.rfft(audio, axis=1)
    bins = samples // 2 + 1
    shared = min(bins, spectrum.shape[1])
    turned = np.zeros((count, bins, channels), np.complex128)
    turned[:, :shared] = spectrum[:, :shared] * (samples / long)
    for row in turned:
        row *= _equaliser(bins, rate_hz, rng)[:, None]
        if rng.random() < ROOM:
            row *= _room(samples, channels, rate_hz, rng)
    made = np.fft.irfft(turned, samples, axis=1)
    loudness = _rms(audio) / np.maximum(_rms(made), 1e-9)
    return np.clip(made * loudness, -1.0, 1.0).astype(np.float32)


def _equaliser(bins: int, rate_hz: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Factors [bins] from 0 Hz to half the rate."""
    frequency = np.linspace(0.0, rate_hz / 2, bins)
    gain_db = rng.normal(0.0, EQUALISER_DB, len(KNOT_HZ))
    at = np.log(np.maximum(frequency, KNOT_HZ[0]))
    return np.asarray(10 ** (np.interp(at, np.log(KNOT_HZ), gain_db) / 20))


def _room(
    samples: int, channels: int, rate_hz: int, rng: np.random.Generator
) -> npt.NDArray[np.complex128]:
    """Factors [bins, C]: the sound itself, and noise that dies away behind it."""
    time_s = np.arange(samples)[:, None] / rate_hz
    tail = rng.standard_normal((samples, channels)) * np.exp(-time_s / rng.uniform(*ROOM_S))
    energy = 10 ** (rng.uniform(*ROOM_DB) / 10)
    tail *= np.sqrt(energy / np.square(tail).sum(axis=0))
    return 1.0 + np.fft.rfft(tail, axis=0)


def _rms(audio: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Of each excerpt: [B, 1, 1]."""
    return np.asarray(np.sqrt(np.square(audio, dtype=np.float64).mean(axis=(1, 2), keepdims=True)))
