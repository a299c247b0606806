import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.guard import KNEE, fault, round_off, within

LATENTS = np.zeros((16, 8), np.float32)


def tone(level: float, channels: int = 2) -> np.ndarray:
    wave = level * np.sin(np.linspace(0, 60, 2400))
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def test_music_passes_untouched() -> None:
    audio = tone(0.8)
    before = audio.copy()
    peak = round_off(audio)
    assert peak == pytest.approx(0.8, abs=1e-3)
    assert fault(audio, peak, LATENTS) is None
    np.testing.assert_array_equal(audio, before)


@given(st.floats(0.0, 2.0))
def test_nothing_leaves_full_scale_and_order_is_kept(level: float) -> None:
    audio = np.linspace(-level, level, 1001, dtype=np.float32)[:, None]
    round_off(audio)
    assert np.abs(audio).max() <= 1.0
    assert (np.diff(audio[:, 0]) >= 0).all()


def test_peaks_are_rounded_smoothly() -> None:
    audio = np.linspace(0.0, 2.0, 2001, dtype=np.float32)[:, None]
    before = audio.copy()
    round_off(audio)
    np.testing.assert_array_equal(audio[before <= KNEE], before[before <= KNEE])
    assert np.diff(audio[:, 0]).max() <= 1.01e-3


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_found(poison: float) -> None:
    audio = tone(0.5)
    audio[17, 1] = poison
    with np.errstate(invalid="ignore"):
        assert fault(audio, round_off(audio), LATENTS) == "not_finite"


def test_over_level_is_found_even_after_rounding() -> None:
    audio = tone(50.0)
    assert fault(audio, round_off(audio), LATENTS) == "over_level"


def test_dc_in_one_channel_is_found() -> None:
    audio = tone(0.3)
    audio[:, 1] += 0.5
    assert fault(audio, round_off(audio), LATENTS) == "dc"


def test_silence_is_no_fault() -> None:
    audio = np.zeros((100, 1), np.float32)
    assert fault(audio, round_off(audio), LATENTS) is None


def test_latents_that_are_not_finite_are_a_fault_even_if_they_sound() -> None:
    audio = tone(0.5)
    assert fault(audio, round_off(audio), np.full((16, 8), -np.inf, np.float32)) == "not_finite"


def test_what_lies_within_stays_and_what_does_not_is_rounded_off() -> None:
    quiet = np.linspace(-1.0, 1.0, 201, dtype=np.float32)[:, None]
    same = quiet.copy()
    within(same)
    np.testing.assert_array_equal(same, quiet)
    loud = 1.3 * quiet
    within(loud)
    assert np.abs(loud).max() < 1.0
    np.testing.assert_array_equal(loud[100:160], (1.3 * quiet)[100:160])
    within(loud[:0])
