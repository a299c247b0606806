"""Patterns, swing and humanising."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.corpus.rhythm import bar_of, humanise, onsets, swing
from model.corpus.song import Note


def test_a_pattern_is_read_with_its_holds():
    assert list(onsets("x--.X.o-")) == [(0.0, 0.75, "x"), (1.0, 0.25, "X"), (1.5, 0.5, "o")]


@given(st.text("Xxo-.", min_size=1, max_size=32))
def test_strokes_never_overlap_nor_leave_the_pattern(pattern):
    end = 0.0
    for start, length, _ in onsets(pattern):
        assert start >= end
        end = start + length
    assert end <= len(pattern) * 0.25


def test_a_two_bar_pattern_alternates():
    pattern = "x" * 16 + "o" * 16
    assert bar_of(pattern, 0, 4) == "x" * 16 == bar_of(pattern, 2, 4)
    assert bar_of(pattern, 5, 4) == "o" * 16


@given(st.floats(0, 64), st.floats(0.5, 0.7), st.sampled_from([0.25, 0.5]))
def test_swing_keeps_beats_and_order(beat, ratio, unit):
    pair = 2 * unit
    assert swing(pair * round(beat / pair), ratio, unit) == pytest.approx(pair * round(beat / pair))
    assert swing(beat + 0.05, ratio, unit) > swing(beat, ratio, unit)


def test_straight_is_straight():
    for beat in np.arange(0, 4, 0.125):
        assert swing(float(beat), 0.5, 0.5) == pytest.approx(float(beat))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_humanised_notes_stay_close_ordered_and_playable(seed):
    notes = [Note(beat / 4, 0.25, 60, 90) for beat in range(32)]
    rng = np.random.default_rng(seed)
    played = humanise(notes, rng, ratio=0.5, unit=0.5, jitter_beats=0.01)
    assert [note.start for note in played] == sorted(note.start for note in played)
    assert all(abs(p.start - n.start) <= 0.0201 for p, n in zip(played, notes, strict=True))
    assert all(1 <= note.velocity <= 127 and note.start >= 0 for note in played)
