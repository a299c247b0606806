"""Chorales from a made-up JSON."""

import json
import math

import pytest

from model.corpus.chorales import BEATS_PER_BAR, VOICES, compose_chorale, read_chorales

BAR = [[67, 64, 60, 48]] * 4 + [[69, 65, 60, 53]] * 4 + [[71, 65, 62, 55]] * 4
BAR += [[72, 64, 60, 48]] * 4


@pytest.fixture
def pieces(tmp_path):
    holes = [[-1, 64, math.nan, 48], *BAR[1:]]
    content = {"train": [BAR * 3, holes * 2], "valid": [BAR[:8]], "test": [[[60, 55, 52]] * 32]}
    (tmp_path / "pieces.json").write_text(json.dumps(content))
    return read_chorales(tmp_path)


def test_pieces_too_short_or_not_in_four_parts_are_left_out(pieces):
    assert len(pieces) == 2
    assert pieces[1][0] == (-1, 64, -1, 48)


def test_a_folder_without_chorales_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no four-part chorales"):
        read_chorales(tmp_path)


def test_a_chorale_fills_its_bars_in_four_voices(pieces):
    song = compose_chorale(pieces, 1, 2)
    assert song == compose_chorale(pieces, 1, 2) != compose_chorale(pieces, 1, 3)
    assert song.beats == song.bars * BEATS_PER_BAR == song.sections[-1].end == len(song.chords)
    assert [part.name for part in song.parts][:4] == list(VOICES)
    for part in song.parts[:4]:
        assert part.notes[-1].start + part.notes[-1].beats == pytest.approx(song.beats, abs=0.1)


def test_key_and_chords_are_heard(pieces):
    song = compose_chorale(pieces[:1], 5, 0)
    tonic = song.keys[0].tonic
    assert song.keys[0].mode == "major"
    assert [(chord.root - tonic) % 12 for chord in song.chords[:4]] == [0, 5, 7, 0]
    assert song.chords[2].symbol.endswith("7")


def test_voices_keep_their_order_and_range(pieces):
    for index in range(6):
        parts = compose_chorale(pieces, 1, index).parts
        for part, (low, high) in zip(parts, ((63, 76), (60, 69), (56, 66), (44, 59)), strict=False):
            assert all(low <= note.pitch <= high for note in part.notes), part.name
