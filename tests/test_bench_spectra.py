"""bench.spectra: the mel error and SI-SDR on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import spectra

RATE_HZ = 24_000


def noise(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * RATE_HZ))


def sine(hz: float, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def test_identical_audio_has_no_mel_error() -> None:
    assert spectra.mel_db_error(noise(), noise(), RATE_HZ) == 0.0


@settings(max_examples=10, deadline=None)
@given(st.floats(-12.0, 12.0))
def test_a_gain_is_an_error_of_that_many_db(gain_db: float) -> None:
    error = spectra.mel_db_error(noise() * 10 ** (gain_db / 20), noise(), RATE_HZ)
    assert error == pytest.approx(abs(gain_db), abs=1e-6)


def test_what_lies_under_the_floor_does_not_count() -> None:
    loud = noise()
    quiet = 1e-6 * noise(seed=1)
    reference = np.concatenate([loud, np.zeros(RATE_HZ)])
    estimate = np.concatenate([loud, quiet])
    assert spectra.mel_db_error(estimate, reference, RATE_HZ) < 0.1


def test_lengths_that_differ_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="47 frames against 94"):
        spectra.mel_db_error(noise(1.0), noise(2.0), RATE_HZ)


@pytest.mark.parametrize("rate_hz", [24_000, 44_100, 48_000])
def test_every_band_hears_something_and_a_tone_lights_its_own(rate_hz: int) -> None:
    filters = spectra.mel_filters(rate_hz)
    assert filters.shape == (1025, 80)
    assert (filters.sum(axis=0) > 0).all()
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate_hz) / rate_hz)
    band = int(spectra.mel_power(tone, rate_hz).mean(axis=0).argmax())
    lowest, highest = spectra.hz_to_mel([30.0, rate_hz / 2])
    centre_mel = lowest + (highest - lowest) * (band + 1) / 81
    assert abs(float(spectra.mel_to_hz(centre_mel)) - 1000) < 60


def test_si_sdr_ignores_scale_and_knows_the_noise_level() -> None:
    clean = sine(440)
    dirty = clean + noise(seed=3) * np.linalg.norm(clean) / np.linalg.norm(noise(seed=3)) / 10
    assert spectra.si_sdr_db(dirty, clean) == pytest.approx(20.0, abs=0.2)
    assert spectra.si_sdr_db(3.0 * dirty, clean) == pytest.approx(
        spectra.si_sdr_db(dirty, clean), abs=1e-6
    )
    assert spectra.si_sdr_db(2.0 * clean, clean) > 100


def test_stereo_is_mixed_down_and_silence_has_a_level() -> None:
    stereo = np.stack([sine(440), np.zeros(RATE_HZ)], axis=1)
    assert spectra.level_db(stereo) == pytest.approx(spectra.level_db(sine(440)) - 6.02, abs=0.01)
    assert spectra.level_db(np.zeros(100)) == -120.0
