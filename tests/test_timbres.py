"""Excerpts in other timbres: as long, as loud, in another key, and not the same twice."""

from __future__ import annotations

import numpy as np
import pytest

from model import timbres
from model.timbres import in_other_timbres, longest_excerpt, random_speed

RATE = 8000
SAMPLES = 4000


def tones(samples: int, hz: float = 500.0) -> np.ndarray:
    """Two excerpts [2, samples, 2] of one tone at two levels."""
    wave = np.sin(2 * np.pi * hz * np.arange(samples) / RATE)[None, :, None]
    level = np.array([0.3, 0.01])[:, None, None]
    return np.asarray(np.repeat(level * wave, 2, axis=2), np.float32)


def peak_hz(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(spectrum.argmax()) * RATE / len(audio)


def test_without_equaliser_or_room_nothing_but_speed_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timbres, "EQUALISER_DB", 0.0)
    monkeypatch.setattr(timbres, "ROOM", 0.0)
    rng = np.random.default_rng(0)
    same = in_other_timbres(tones(SAMPLES), SAMPLES, RATE, rng)
    np.testing.assert_allclose(same, tones(SAMPLES), atol=1e-6)
    for long, hz in ((5000, 625.0), (3200, 400.0)):
        changed = in_other_timbres(tones(long), SAMPLES, RATE, rng)
        assert changed.shape == (2, SAMPLES, 2)
        assert peak_hz(changed[0, :, 0]) == pytest.approx(hz, abs=2.0)


def test_loudness_stays_and_every_excerpt_has_its_own_timbre() -> None:
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.standard_normal((6, SAMPLES, 2)).astype(np.float32)
    changed = in_other_timbres(noise, SAMPLES, RATE, rng)
    assert changed.dtype == np.float32 and np.abs(changed).max() <= 1.0
    np.testing.assert_allclose(changed.std(axis=(1, 2)), noise.std(axis=(1, 2)), rtol=0.02)
    colours = [np.abs(np.fft.rfft(one[:, 0]))[1::200] for one in changed]
    shapes = np.array([np.log(c / c.mean()) for c in colours])
    assert np.abs(np.diff(shapes, axis=0)).mean(axis=1).min() > 0.1


def test_a_room_rings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timbres, "EQUALISER_DB", 0.0)
    monkeypatch.setattr(timbres, "ROOM", 1.0)
    click = np.zeros((1, SAMPLES, 2), np.float32)
    click[0, 100] = 0.5
    heard = in_other_timbres(click, SAMPLES, RATE, np.random.default_rng(2))[0]
    behind = np.square(heard[101:]).sum(axis=0) / np.square(heard[100])
    assert ((behind > 10 ** (-2.6)) & (behind < 10 ** (-0.4))).all()
    assert not np.allclose(heard[101:, 0], heard[101:, 1])


def test_silence_stays_silence() -> None:
    nothing = np.zeros((2, SAMPLES, 1), np.float32)
    assert not in_other_timbres(nothing, SAMPLES, RATE, np.random.default_rng(3)).any()


def test_speeds_stay_within_what_is_read() -> None:
    rng = np.random.default_rng(4)
    speeds = [random_speed(rng) for _ in range(200)]
    assert 0.74 < min(speeds) < 0.85 and 1.2 < max(speeds) < 1.34
    assert max(round(SAMPLES * speed) for speed in speeds) <= longest_excerpt(SAMPLES)
