"""Chords, scales and voice leading."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.corpus.theory import (
    SCALES,
    nearest,
    parse_chord,
    parse_progression,
    pitches,
    scale_for,
    voice_lead,
)

NUMERALS = ("Imaj7", "ii7", "V7", "iih7", "bVII", "#ivdim7", "V7b9/ii", "IVadd9", "isus2", "V13")


@pytest.mark.parametrize(
    ("numeral", "tonic", "symbol", "tones"),
    [
        ("I", 0, "C", (0, 4, 7)),
        ("ii7", 0, "Dm7", (2, 5, 9, 0)),
        ("V7", 7, "D7", (2, 6, 9, 0)),
        ("V7/ii", 0, "A7", (9, 1, 4, 7)),
        ("bVImaj7", 9, "Fmaj7", (5, 9, 0, 4)),
        ("iih7", 0, "Dm7b5", (2, 5, 8, 0)),
        ("#ivdim7", 0, "F#dim7", (6, 9, 0, 3)),
        ("V7b9", 0, "G7b9", (7, 11, 2, 5, 8)),
    ],
)
def test_numerals_spell_the_chords_of_the_books(numeral, tonic, symbol, tones):
    assert parse_chord(numeral, tonic) == (symbol, tones[0], tones)


@pytest.mark.parametrize("numeral", ["", "H", "Iwhat", "iix", "viiii", "V7/"])
def test_a_numeral_that_means_nothing_is_refused(numeral):
    with pytest.raises(ValueError, match="cannot read the chord"):
        parse_chord(numeral, 0)


def test_a_bar_is_shared_evenly():
    spans = parse_progression("ii7 V7 | Imaj7", 4)
    assert spans == [(2.0, "ii7"), (2.0, "V7"), (4.0, "Imaj7")]


@given(st.sampled_from(NUMERALS), st.integers(0, 11), st.sampled_from(sorted(SCALES)))
@settings(max_examples=60, deadline=None)
def test_the_scale_over_a_chord_holds_the_chord(numeral, tonic, mode):
    _, _, tones = parse_chord(numeral, tonic)
    scale = scale_for(tones, tonic, SCALES[mode])
    assert set(tones) <= set(scale)
    assert scale == sorted(set(scale))


def test_a_chord_of_the_key_leaves_the_scale_alone():
    _, _, tones = parse_chord("V7", 0)
    assert scale_for(tones, 0, SCALES["major"]) == [0, 2, 4, 5, 7, 9, 11]


@given(st.lists(st.tuples(st.sampled_from(NUMERALS), st.integers(0, 11)), min_size=2, max_size=8))
@settings(max_examples=40, deadline=None)
def test_voices_stay_in_range_and_move_little(chords):
    previous = None
    for numeral, tonic in chords:
        _, root, tones = parse_chord(numeral, tonic)
        voicing = voice_lead(root, tones, previous, 50, 74)
        assert list(voicing) == sorted(voicing)
        assert voicing[0] >= 50 and voicing[-1] <= 74
        assert {pitch % 12 for pitch in voicing} <= set(tones)
        if previous is not None:
            assert abs(voicing[-1] - previous[-1]) <= 7
        previous = voicing


def test_common_tones_stay():
    _, root, tones = parse_chord("I", 0)
    first = voice_lead(root, tones, None, 50, 74)
    _, root, tones = parse_chord("vi", 0)
    second = voice_lead(root, tones, first, 50, 74)
    assert len(set(first) & set(second)) == 2


def test_nearest_prefers_the_lower_of_two():
    assert nearest(61, pitches((0, 2), 55, 70)) == 60
