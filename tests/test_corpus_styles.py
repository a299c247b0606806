"""The style tables say only what the players can read."""

import pytest

from model.corpus.drums import KIT
from model.corpus.styles import STYLES
from model.corpus.theory import SCALES, parse_chord, parse_progression
from model.corpus.truth import INSTRUMENTS

EACH = pytest.mark.parametrize("style", STYLES.values(), ids=list(STYLES))
LETTERS = {"bass": "13578wa-.", "comp": "Xxb-.", "arpeggio": "0123456789-.", "lead": "x-."}


def test_there_are_at_least_six():
    assert len(STYLES) >= 6


@EACH
def test_patterns_are_whole_bars_of_known_letters(style):
    for part, letters in LETTERS.items():
        for pattern in getattr(style, part):
            assert len(pattern) in (16, 32), (part, pattern)
            assert set(pattern) <= set(letters), (part, pattern)


@EACH
def test_grooves_cover_three_energies_with_known_drums(style):
    assert len(style.grooves) == 3
    for groove in [g for level in style.grooves for g in level] + list(style.fills):
        assert set(groove) <= set(KIT)
        for pattern in groove.values():
            assert len(pattern) in (16, 32) and set(pattern) <= set("Xxo.")


@EACH
def test_every_mode_has_two_progressions_that_parse(style):
    assert set(style.modes) <= set(SCALES)
    for mode in style.modes:
        assert len(style.progressions[mode]) >= 2
        for text in style.progressions[mode]:
            for _, numeral in parse_progression(text, 4):
                parse_chord(numeral, 0)


@EACH
def test_every_layer_has_an_instrument_with_a_name_and_a_level(style):
    layers = {layer for level in style.layers.values() for choice in level for layer in choice}
    assert set(style.layers) == {0, 1, 2, 3}
    assert layers <= {*style.programs, "drums"}
    assert layers <= set(style.levels_db)
    assert {p for programs in style.programs.values() for p in programs} <= set(INSTRUMENTS)
    assert len(style.words) >= 2


def test_no_two_styles_share_tempo_groove_and_harmony():
    seen = {(s.bpm, str(s.grooves), str(s.progressions)) for s in STYLES.values()}
    assert len(seen) == len(STYLES)
