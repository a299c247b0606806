"""bench.music: keys and tempi of signals made for it."""

from __future__ import annotations

import numpy as np
import pytest

from bench import music
from bench.music import Key

RATE_HZ = 24_000


def tone(midi: int, seconds: float) -> np.ndarray:
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = 440.0 * 2 ** ((midi - 69) / 12)
    partials = sum(np.sin(2 * np.pi * hz * k * at_s) / k for k in (1, 2, 3))
    return 0.2 * partials * np.exp(-3.0 * at_s)


def melody(notes: list[int], seconds: float = 0.25) -> np.ndarray:
    return np.concatenate([tone(note, seconds) for note in notes])


def key_heard_in(audio: np.ndarray) -> Key:
    return music.key_of(music.chroma(audio, RATE_HZ).mean(axis=0))


def click_track(bpm: float, seconds: float) -> np.ndarray:
    audio = np.zeros(round(seconds * RATE_HZ))
    click = np.random.default_rng(1).normal(0, 0.3, 600) * np.exp(-np.arange(600) / 120)
    for beat in np.arange(0.1, seconds - 0.1, 60.0 / bpm):
        start = round(beat * RATE_HZ)
        audio[start : start + 600] += click
    return audio


def test_a_c_major_arpeggio_is_in_c_major() -> None:
    found = key_heard_in(melody([60, 64, 67, 72, 67, 64] * 4))
    assert found.name == "C major"
    assert found.strength > 0.7


@pytest.mark.parametrize("shift", range(12))
def test_the_key_moves_with_the_notes(shift: int) -> None:
    scale = [57, 60, 64, 69, 68, 71, 64, 57]
    found = key_heard_in(melody([note + shift for note in scale]))
    assert (found.tonic, found.minor) == ((9 + shift) % 12, True)


@pytest.mark.parametrize("shift", [0, 5, 11])
def test_the_modes_of_one_scale_have_one_tonic(shift: int) -> None:
    major = [60, 62, 64, 65, 67, 69, 71, 72]
    for start in range(7):
        notes = [note + shift for note in major[start:] + major[:start]]
        heard = music.chroma(melody(notes), RATE_HZ).mean(axis=0)
        assert music.scale_tonic(heard) == shift % 12


def test_a_tone_between_two_keys_is_shared() -> None:
    at_s = np.arange(RATE_HZ) / RATE_HZ
    between = np.sin(2 * np.pi * 440 * 2 ** (0.5 / 12) * at_s)
    weights = music.chroma(between, RATE_HZ).mean(axis=0)
    assert weights[9] == pytest.approx(weights[10], rel=0.1)
    assert weights[9] + weights[10] > 0.98 * weights.sum()


@pytest.mark.parametrize(
    ("found", "score"),
    [
        (Key(0, False, 1.0), 1.0),
        (Key(7, False, 1.0), 0.5),
        (Key(5, False, 1.0), 0.5),
        (Key(9, True, 1.0), 0.3),
        (Key(0, True, 1.0), 0.2),
        (Key(2, False, 1.0), 0.0),
        (Key(3, True, 1.0), 0.0),
    ],
)
def test_key_score_against_c_major(found: Key, score: float) -> None:
    assert music.key_score(found, Key(0, False, 1.0)) == score


def test_the_relative_major_of_a_minor_key() -> None:
    assert music.key_score(Key(0, False, 1.0), Key(9, True, 1.0)) == 0.3


@pytest.mark.parametrize("bpm", [72, 90, 100, 120, 140])
def test_the_tempo_of_a_click_track(bpm: float) -> None:
    assert music.same_tempo(music.tempo_bpm(click_track(bpm, 8.0), RATE_HZ), bpm)


def test_octaves_are_the_same_tempo_and_other_ratios_are_not() -> None:
    assert music.same_tempo(120, 60)
    assert music.same_tempo(61, 120)
    assert not music.same_tempo(126, 120)
    assert not music.same_tempo(90, 120)
    assert not music.same_tempo(0.0, 120)


def test_silence_has_no_tempo_and_any_key() -> None:
    silence = np.zeros(4 * RATE_HZ)
    assert music.tempo_bpm(silence, RATE_HZ) == 0.0
    assert key_heard_in(silence).strength == 0.0
