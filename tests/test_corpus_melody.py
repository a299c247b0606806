"""Motifs and themes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.corpus.melody import LEAD_RANGE, make_motif, make_theme, play_lead, vary
from model.corpus.rhythm import onsets
from model.corpus.song import Chord, Key, Song
from model.corpus.styles import STYLES

SEEDS = st.integers(0, 2**32 - 1)
NAMES = st.sampled_from(sorted(STYLES))


@pytest.fixture(scope="module")
def song():
    chords = tuple(Chord(4.0 * bar, 4.0, "Dm", 2, (2, 5, 9)) for bar in range(8))
    return Song("made up", 120.0, 4, 8, (Key(0.0, 2, "minor"),), (), chords, (), 0, 0)


@given(NAMES, SEEDS)
@settings(max_examples=30)
def test_a_motif_has_a_step_for_every_note_and_small_steps(name, seed):
    motif = make_motif(STYLES[name], np.random.default_rng(seed))
    assert len(motif.steps) == len(list(onsets(motif.rhythm)))
    assert all(1 <= abs(step) <= 4 for step in motif.steps)


@given(NAMES, SEEDS)
@settings(max_examples=30)
def test_a_variation_keeps_rhythm_and_beginning(name, seed):
    rng = np.random.default_rng(seed)
    motif = make_motif(STYLES[name], rng)
    other = vary(motif, rng)
    kept = len(motif.steps) - max(1, len(motif.steps) // 2)
    assert other.rhythm == motif.rhythm and other.steps[:kept] == motif.steps[:kept]


@given(NAMES, SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_lead_stays_in_range_and_lands_on_the_chord(song, name, seed):
    rng = np.random.default_rng(seed)
    theme = make_theme(STYLES[name], rng)
    notes = play_lead(song, STYLES[name], theme, range(0, 8), rng)
    assert notes
    for note in notes:
        assert LEAD_RANGE[0] <= note.pitch <= LEAD_RANGE[1]
        if note.start == int(note.start):
            assert note.pitch % 12 in (2, 5, 9)


def test_the_first_bar_of_a_theme_comes_back(song):
    style = STYLES["chiptune"]
    theme = make_theme(style, np.random.default_rng(3))
    notes = play_lead(song, style, theme, range(0, 4), np.random.default_rng(0))
    bars = [[(n.start % 4, n.pitch) for n in notes if n.start // 4 == bar] for bar in range(4)]
    assert any(bars[0] == bars[bar] for bar in (1, 2, 3))
