"""Truth frame by frame agrees with what was composed."""

from __future__ import annotations

import numpy as np
import pytest

from engine.brief import FAMILIES, SCALES, TONICS, control_groups
from model.corpus.composer import compose
from model.corpus.labels import (
    NO_CHORD,
    STYLE_NAMES,
    Labels,
    _chord,
    control_rows,
    family_of,
    frame_labels,
)
from model.corpus.song import Song
from model.corpus.styles import STYLES
from model.corpus.truth import INSTRUMENTS
from tests.tiny_corpus import truth_of_song

RATE_HZ = 25.0


def labelled(style: str, index: int = 0) -> tuple[Song, Labels]:
    """A song and its labels."""
    song = compose(style, 5, index)
    return song, frame_labels(truth_of_song(song), int(song.duration_s * RATE_HZ), RATE_HZ)


def test_every_instrument_has_a_family() -> None:
    assert {family_of(name) for name in ("drums", *INSTRUMENTS.values())} == set(FAMILIES)


@pytest.mark.parametrize("style", list(STYLES))
def test_labels_are_those_of_the_song(style: str) -> None:
    song, labels = labelled(style)
    for frame in np.random.default_rng(0).integers(0, len(labels["bpm"]), 20):
        beat = (frame + 0.5) / RATE_HZ * song.bpm / 60
        key, chord = song.key_at(beat), song.chord_at(np.floor(beat))
        assert TONICS[labels["tonic"][frame]] == TONICS[key.tonic]
        assert SCALES[labels["scale"][frame]] == key.mode
        assert labels["sixteenth"][frame] == int(beat % song.beats_per_bar * 4)
        assert labels["root"][frame] == chord.root % 12
        assert STYLE_NAMES[labels["style"][frame]] == style


def test_families_sound_where_their_parts_have_notes() -> None:
    song, labels = labelled("house")
    drums = next(part for part in song.parts if part.drums)
    sounding = labels["families"][:, FAMILIES.index("drums")]
    for note in drums.notes[::7]:
        frame = int(note.start * 60 / song.bpm * RATE_HZ) + 1
        assert sounding[min(frame, len(sounding) - 1)] == 1.0
    first_s = drums.notes[0].start * 60 / song.bpm
    assert not sounding[: max(int(first_s * RATE_HZ) - 2, 0)].any()


@pytest.mark.parametrize(
    ("symbol", "root", "quality"),
    [("C", 0, 1), ("Dbm7", 1, 0), ("F#maj7", 6, 1), ("Bbsus4", 10, 2), ("Edim", 4, 2),
     ("A/C", 9, 1), ("B7b9", 11, 1), ("?", NO_CHORD, 2)],
)  # fmt: skip
def test_chord_symbols_are_read(symbol: str, root: int, quality: int) -> None:
    assert _chord(symbol) == (root, quality)


def test_control_rows_tell_everything() -> None:
    _, labels = labelled("jazz")
    rows = control_rows(labels)
    for group in control_groups():
        assert np.allclose(rows[:, group].sum(1), 1.0)
    tonic = control_groups()[1]
    assert np.array_equal(rows[:, tonic].argmax(1), labels["tonic"])
