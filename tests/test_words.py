"""Free text to known words."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.words import BPM_WORDS, MAX_WORDS, TONIC_WORDS, Words, bpm_word, stem, tonic_word

KNOWN = (
    "no", "not", "without", "with", "and", "only", "drum", "bass", "brass", "piano", "guitar",
    "jazz", "groove", "dream", "happy", "major", "minor", "dorian", "beat", "mute",
    "drum and bass", "hip hop", "8 bit", *BPM_WORDS, *TONIC_WORDS,
)  # fmt: skip
WORDS = Words(KNOWN)


def read(text):
    return [KNOWN[number - 1] for number in WORDS.ids(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Drums, DRUMMING drummer drum's", ["drum"] * 4),
        ("Jazzy groovy grooves, dreamy!", ["jazz", "groove", "groove", "dream"]),
        ("guitarist bassist happier happily muted", ["guitar", "bass", "happy", "happy", "mute"]),
        ("hip-hop, hip hop; HipHop", ["hip hop"] * 3),
        ("8-bit 8bit 8 bit", ["8 bit"] * 3),
        ("drum & bass", ["drum and bass"]),
        ("drums and bass", ["drum", "and", "bass"]),
        ("brass bass", ["brass", "bass"]),
        ("ｐｉａｎｏ", ["piano"]),
        ("pia\u0301no", ["piano"]),
    ],
)
def test_forms_of_a_word_are_one_word(text, found):
    assert read(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no drums", ["no", "drum"]),
        ("don't play drums", ["not", "drum"]),
        ("it isn’t jazz", ["not", "jazz"]),
        ("cant stand piano", ["not", "piano"]),
        ("drumless, beatless jazz", ["without", "drum", "without", "beat", "jazz"]),
        ("sent notes; xyzless", []),
    ],
)
def test_negations_are_words(text, found):
    assert read(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("120 bpm", ["<bpm:120>"]),
        ("at 121.9bpm", ["<bpm:120>"]),
        ("tempo: 98", ["<bpm:100>"]),
        ("90 beats per minute", ["<bpm:90>"]),
        ("1 bpm, 99999999999 bpm", ["<bpm:60>", "<bpm:180>"]),
        ("9" * 400 + " bpm", ["<bpm:180>"]),
        ("١٢٠ bpm", ["<bpm:120>"]),
        ("120 guitars", ["guitar"]),
        ("A minor", ["<tonic:A>", "minor"]),
        ("in f sharp minor", ["<tonic:F#>", "minor"]),
        ("F#m or Am", ["<tonic:F#>", "minor", "<tonic:A>", "minor"]),
        ("Bb major, A# maj", ["<tonic:Bb>", "major"] * 2),
        ("E flat dorian", ["<tonic:Eb>", "dorian"]),
        ("the key of g", ["<tonic:G>"]),
        ("in a minor key", ["minor"]),
        ("R&B minor, d and b major, R & B", ["minor", "major"]),
        ("Am I happy", ["happy"]),
    ],
)
def test_tempi_and_keys_are_words(text, found):
    assert read(text) == found


@given(st.text(max_size=300))
def test_no_text_fails(text):
    ids = WORDS.ids(text)
    assert ids.dtype == np.int64 and ids.ndim == 1 and len(ids) <= MAX_WORDS
    assert all(1 <= number <= len(KNOWN) for number in ids)


@given(st.lists(st.sampled_from(["drums", "no", "piano", "120 bpm", "A minor", "hip hop"])),
       st.lists(st.text("qxzж🎵 ", max_size=8)))  # fmt: skip
def test_unknown_words_change_nothing(said, strange):
    mixed = list(said)
    for place, text in enumerate(strange):
        mixed.insert(2 * place % (len(mixed) + 1), text)
    assert (WORDS.ids(" , ".join(mixed)) == WORDS.ids(" , ".join(said))).all()


@pytest.mark.parametrize(
    "piece", ["drums ", "x", "1", "1.", "🎵", "م", "A b", "key of ", "n't", "(", "<bpm:", " ", "a#"]
)
def test_long_text_is_quick(piece):
    began = time.perf_counter()
    assert len(WORDS.ids((piece * 10_000)[:10_000])) <= MAX_WORDS
    assert time.perf_counter() - began < 0.5


def test_words_of_tempi_and_tonics():
    assert bpm_word(122.4) == "<bpm:120>" and bpm_word(1e9) == BPM_WORDS[-1]
    assert tonic_word(0) == "<tonic:C>" and tonic_word(-1) == "<tonic:B>"


@given(st.text("abcdeginrsty", min_size=1, max_size=12))
def test_a_stem_is_not_empty(word):
    assert len(stem(word)) >= min(len(word), 3) and word.startswith(stem(word)[:3])
