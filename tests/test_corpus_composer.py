"""What every composed song must be."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.corpus.composer import DURATION_S, compose
from model.corpus.styles import STYLES
from model.corpus.theory import SCALES

EACH = pytest.mark.parametrize("name", list(STYLES))
SONGS = st.tuples(st.sampled_from(sorted(STYLES)), st.integers(0, 50), st.integers(0, 500))


@given(SONGS)
@settings(max_examples=12, deadline=None)
def test_the_same_seed_and_index_give_the_same_song(which):
    assert compose(*which) == compose(*which)


@EACH
def test_another_index_or_seed_gives_another_song(name):
    song = compose(name, 3, 0)
    assert song.parts != compose(name, 3, 1).parts
    assert song.parts != compose(name, 4, 0).parts


@given(SONGS)
@settings(max_examples=15, deadline=None)
def test_bars_add_up(which):
    song = compose(*which)
    assert DURATION_S[0] - 4 < song.duration_s < DURATION_S[1] + 4
    for spans in (
        [(s.start, s.end) for s in song.sections],
        [(c.start, c.start + c.beats) for c in song.chords],
    ):
        assert spans[0][0] == 0 and spans[-1][1] == song.beats
        assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all(s.start % song.beats_per_bar == 0 for s in song.sections)


@given(SONGS)
@settings(max_examples=15, deadline=None)
def test_notes_are_playable_and_inside_the_song(which):
    song = compose(*which)
    for part in song.parts:
        for note in part.notes:
            assert 0 <= note.start < song.beats + 0.1
            assert note.beats > 0 and 0 < note.velocity < 128 and 21 <= note.pitch <= 108


@given(SONGS)
@settings(max_examples=15, deadline=None)
def test_music_begins_at_once_and_plays_in_every_bar_to_the_last(which):
    song = compose(*which)
    sounding = np.zeros(song.bars, dtype=bool)
    for note in (note for part in song.parts for note in part.notes):
        first = int(note.start // song.beats_per_bar)
        last = int((note.start + note.beats - 1e-6) // song.beats_per_bar)
        sounding[first : last + 1] = True
    assert sounding.all()
    assert min(part.notes[0].start for part in song.parts) < 1.0


@EACH
def test_pitched_notes_fit_the_key_or_the_chord(name):
    fitting = total = 0
    for index in range(4):
        song = compose(name, 11, index)
        for part in (part for part in song.parts if not part.drums):
            for note in part.notes:
                beat = min(note.start + 0.1, song.beats - 0.01)
                key, chord = song.key_at(beat), song.chord_at(beat)
                allowed = {(key.tonic + step) % 12 for step in SCALES[key.mode]}
                fitting += note.pitch % 12 in allowed | set(chord.tones)
                total += 1
    assert fitting / total > 0.93


@EACH
def test_the_lead_repeats_its_motifs(name):
    rhythms = Counter()
    for index in range(6):
        song = compose(name, 5, index)
        lead = next((part for part in song.parts if part.name == "lead"), None)
        for note in lead.notes if lead else ():
            rhythms[index, round(note.start * 4) % 16] += 1
    assert rhythms and max(rhythms.values()) >= 3


@EACH
def test_layers_come_and_go_and_harmony_returns(name):
    songs = [compose(name, 2, index) for index in range(5)]
    assert any(len({section.layers for section in song.sections}) > 1 for song in songs)
    assert all(len({section.label for section in song.sections}) > 1 for song in songs)
    for song in songs:
        starts = {}
        for section in song.sections:
            tonic = song.key_at(section.start).tonic
            letter = {"I": "A", "C": "B"}.get(section.label, section.label)
            root = (song.chord_at(section.start).root - tonic) % 12
            assert starts.setdefault(letter, root) == root


def test_some_songs_change_key():
    songs = [compose(name, 9, index) for name in STYLES for index in range(4)]
    changed = sum(len(song.keys) > 1 for song in songs)
    assert 0 < changed < len(songs) / 2


def test_styles_differ_in_what_is_heard():
    def portrait(name):
        song = compose(name, 1, 1)
        drums = Counter(n.pitch for p in song.parts if p.drums for n in p.notes)
        return STYLES[name].bpm, tuple(p.program for p in song.parts), tuple(sorted(drums))

    assert len({portrait(name) for name in STYLES}) == len(STYLES)


def test_an_unknown_style_is_refused():
    with pytest.raises(KeyError):
        compose("polka", 1, 1)
