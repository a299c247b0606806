"""Bass, comping, pad and arpeggio on a small song written by hand."""

import numpy as np
import pytest

from model.corpus.parts import (
    BASS_RANGE,
    Voicings,
    play_arpeggio,
    play_bass,
    play_comp,
    play_pad,
)
from model.corpus.song import Chord, Key, Song


@pytest.fixture
def song():
    chords = (
        Chord(0.0, 4.0, "C", 0, (0, 4, 7)),
        Chord(4.0, 2.0, "Am", 9, (9, 0, 4)),
        Chord(6.0, 2.0, "G7", 7, (7, 11, 2, 5)),
    )
    return Song("made up", 120.0, 4, 2, (Key(0.0, 0, "major"),), (), chords, (), 0, 0)


@pytest.fixture
def voicings(song):
    return Voicings(song, 50, 74, 4)


def test_the_bass_plays_the_degrees_it_is_given(song):
    notes = play_bass(song, "1---5---8---3---", range(0, 1), np.random.default_rng(0))
    root = notes[0].pitch
    assert root % 12 == 0
    assert [note.pitch - root for note in notes] == [0, 7, 12, 4]


def test_a_walking_bass_steps_and_reaches_every_root(song):
    notes = play_bass(song, "1---w---w---a---", range(0, 2), np.random.default_rng(0))
    by_beat = {note.start: note.pitch for note in notes}
    assert {beat: by_beat[beat] % 12 for beat in (0.0, 4.0, 6.0)} == {0.0: 0, 4.0: 9, 6.0: 7}
    steps = np.abs(np.diff([note.pitch for note in notes]))
    assert steps.max() <= 12 and (steps > 0).all()
    assert all(BASS_RANGE[0] - 1 <= note.pitch <= BASS_RANGE[1] + 12 for note in notes)


def test_comping_strikes_whole_chords_and_follows_the_change(song, voicings):
    notes = play_comp(song, "x---------------", range(1, 2), voicings)
    struck = {start: {n.pitch % 12 for n in notes if n.start == start} for start in (4.0, 6.0)}
    assert {note.start for note in notes} == {4.0, 6.0}
    assert struck[4.0] == {9, 0, 4} and struck[6.0] <= {7, 11, 2, 5}


def test_the_bass_stroke_of_comping_is_the_lowest_voice(song, voicings):
    notes = play_comp(song, "b...x-..........", range(0, 1), voicings)
    assert [n.pitch for n in notes if n.start == 0.0] == [min(voicings.at(0.0))]


def test_a_pad_ties_common_tones_and_never_pauses(song, voicings):
    notes = play_pad(song, range(0, 2), voicings)
    tied = set(voicings.at(0.0)) & set(voicings.at(4.0))
    assert tied
    for pitch in tied:
        assert any(n.pitch == pitch and n.start == 0.0 and n.beats > 4.0 for n in notes)
    for beat in np.arange(0.1, 8.0, 0.5):
        sounding = {n.pitch for n in notes if n.start <= beat < n.start + n.beats}
        assert sounding == set(voicings.at(float(beat)))


def test_an_arpeggio_counts_on_in_octaves(song, voicings):
    notes = play_arpeggio(song, "0.1.2.3.........", range(0, 1), voicings)
    chord = voicings.at(0.0)
    assert [note.pitch for note in notes] == [*chord, chord[0] + 12]
