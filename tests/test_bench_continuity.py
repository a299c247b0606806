"""bench.continuity: seams, kept keys and tempi, and drift on streams made for it."""

from __future__ import annotations

import numpy as np
import pytest

from bench import continuity
from bench.continuity import Signature
from bench.features import DIMENSION
from bench.frechet import Scale

RATE_HZ = 24_000
RULER = Scale(np.zeros(DIMENSION), np.ones(DIMENSION))


def steady(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, level, round(seconds * RATE_HZ))


def plucks(midi_notes: list[int], seconds: float, bpm: float = 120.0) -> np.ndarray:
    step = round(RATE_HZ * 30 / bpm)
    at_s = np.arange(step) / RATE_HZ
    notes = []
    for index in range(int(seconds * RATE_HZ) // step):
        hz = 440 * 2 ** ((midi_notes[index % len(midi_notes)] - 69) / 12)
        accent = 1.0 if index % 2 == 0 else 0.5
        notes.append(accent * 0.3 * np.sin(2 * np.pi * hz * at_s) * np.exp(-10 * at_s))
    return np.concatenate(notes)


def test_a_cut_in_steady_sound_is_like_any_other_place() -> None:
    places = [
        continuity.seam(steady(3, seed=seed), steady(3, seed=seed + 50), RATE_HZ).energy
        for seed in range(12)
    ]
    assert 25 < np.mean(places) < 75


def test_a_jump_in_level_stands_out() -> None:
    found = continuity.seam(steady(3, 0.01), steady(3, 0.2, seed=1), RATE_HZ)
    assert found.energy == 100.0
    assert found.flux == 100.0


def test_a_click_stands_out_only_where_it_is() -> None:
    at_s = np.arange(3 * RATE_HZ) / RATE_HZ
    smooth = 0.3 * np.sin(2 * np.pi * 220 * at_s)
    quarter = 0.3 * np.cos(2 * np.pi * 220 * at_s)
    assert continuity.seam(smooth, quarter, RATE_HZ).click == 100.0
    assert continuity.seam(smooth, smooth, RATE_HZ).click < 100.0


def test_key_and_tempo_are_kept_by_the_same_music_and_lost_by_other_music() -> None:
    scale = [60, 64, 67, 72, 65, 69, 72, 67]
    one = Signature.of(plucks(scale, 8), RATE_HZ)
    same = continuity.kept(one, Signature.of(plucks(scale, 8), RATE_HZ))
    other = continuity.kept(
        one, Signature.of(plucks([note + 6 for note in scale], 8, bpm=150), RATE_HZ)
    )
    assert same.key_same and same.tempo_same
    assert same.chroma_correlation == pytest.approx(1.0)
    assert not other.key_same and not other.tempo_same
    assert other.chroma_correlation < 0.3


def test_drift_sees_a_decay_and_a_hole() -> None:
    fading = steady(80) * np.geomspace(1.0, 0.1, 80 * RATE_HZ)
    fading[30 * RATE_HZ : 32 * RATE_HZ] = 0.0
    found = continuity.drift(fading, RATE_HZ, RULER)
    assert found.stretch_s == 20.0
    assert found.last_stretch_db == pytest.approx(-15.0, abs=0.5)
    assert found.worst_stretch_off_db == -found.last_stretch_db
    assert found.longest_silence_s == pytest.approx(2.0, abs=0.03)
    assert len(found.loudness_db) == 8


def test_drift_of_steady_noise_is_none_and_nan_is_counted() -> None:
    stream = steady(60)
    stream[1000:1010] = np.nan
    found = continuity.drift(stream, RATE_HZ, RULER)
    assert found.bad_samples == 10
    assert found.worst_stretch_off_db < 0.2
    assert found.longest_silence_s < 0.1
    assert found.centroid_hz[0] == pytest.approx(6000, rel=0.05)


def test_a_loop_repeats_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    loop = np.tile(rng.normal(size=(5, DIMENSION)), (6, 1))
    fresh = rng.normal(size=(30, DIMENSION))
    assert continuity.closest_repeat(continuity.self_similarity(loop)) == pytest.approx(1.0)
    assert continuity.closest_repeat(continuity.self_similarity(fresh)) < 0.6


def test_chunk_joins_are_found_where_they_click() -> None:
    at_s = np.arange(7680) / RATE_HZ
    clicking = np.tile(0.3 * np.sin(2 * np.pi * 95 * at_s), 20)
    assert continuity.chunk_joins(clicking, 7680, RATE_HZ).click > 80
    assert continuity.chunk_joins(steady(6), 7680, RATE_HZ).click == pytest.approx(50, abs=25)
