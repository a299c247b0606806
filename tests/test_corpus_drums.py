"""Grooves, crashes and fills."""

import numpy as np
import pytest

from model.corpus.drums import CRASHES, KIT, play_drums
from model.corpus.song import Section
from model.corpus.styles import STYLES


def _play(name, energy, bars=8):
    style = STYLES[name]
    section = Section("A", 16.0, 16.0 + 4 * bars, energy, ("drums",))
    grooves = tuple(level[0] for level in style.grooves)
    return play_drums(style, grooves, section, 4, np.random.default_rng(0))


@pytest.mark.parametrize("name", list(STYLES))
@pytest.mark.parametrize("energy", [0, 1, 2, 3])
def test_drums_stay_in_their_section_and_play_in_every_bar(name, energy):
    notes = _play(name, energy)
    assert all(16.0 <= note.start < 48.0 for note in notes)
    assert {int(note.start // 4) for note in notes} == set(range(4, 12))
    assert {note.pitch for note in notes} <= set(KIT.values())


def test_house_kicks_on_every_beat_outside_its_fills():
    kicks = {n.start for n in _play("house", 3) if n.pitch == KIT["kick"]}
    assert kicks >= {float(beat) for beat in range(16, 28)}


@pytest.mark.parametrize("name", list(STYLES))
def test_a_crash_marks_a_full_section_where_the_style_has_one(name):
    crashes = [n.start for n in _play(name, 3) if n.pitch == KIT["crash"]]
    assert crashes == ([16.0] if name in CRASHES else [])


def test_the_last_bar_is_a_fill():
    notes = _play("funk", 3)

    def half(bar):
        return {(n.start - 4 * bar, n.pitch) for n in notes if 4 * bar + 2 <= n.start < 4 * bar + 4}

    assert half(11) != half(5)
