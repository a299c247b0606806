"""Drum grooves and fills: pattern strings to General MIDI percussion notes."""

from __future__ import annotations

import numpy as np

from model.corpus.rhythm import STEP, bar_of, onsets
from model.corpus.song import Note, Section
from model.corpus.style import Drums, Style

KIT = {
    "kick": 36,
    "rim": 37,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "pedal_hat": 44,
    "tom_low": 45,
    "open_hat": 46,
    "tom_mid": 47,
    "crash": 49,
    "tom_high": 50,
    "ride": 51,
    "tambourine": 54,
    "cowbell": 56,
    "conga": 63,
    "shaker": 70,
}
CRASHES = ("house", "funk", "drum and bass", "chiptune")
"""Styles that mark a section with a crash cymbal."""

_VELOCITY = {"X": 116, "x": 92, "o": 52}
_SOFTER = {"hat": 14, "ride": 10, "shaker": 10, "tambourine": 14, "pedal_hat": 16}


def _strokes(groove: Drums, bar: int, beats_per_bar: int, start: float) -> list[Note]:
    notes = []
    for piece, pattern in groove.items():
        for beat, length, mark in onsets(bar_of(pattern, bar, beats_per_bar)):
            velocity = _VELOCITY[mark] - _SOFTER.get(piece, 0)
            notes.append(Note(start + beat, length, KIT[piece], velocity))
    return notes


def _fill(fill: Drums, groove_notes: list[Note], start: float, beats: float) -> list[Note]:
    """The groove up to the fill's half of the bar, the fill from there on."""
    cut = start + beats / 2
    kept = [note for note in groove_notes if note.start < cut]
    return kept + [n for n in _strokes(fill, 0, int(beats), start) if n.start >= cut]


def play_drums(
    style: Style, grooves: tuple[Drums, ...], section: Section, beats: int, rng: np.random.Generator
) -> list[Note]:
    """One section of drums: a groove for its energy, a crash into it, a fill out of it.

    `grooves` holds the song's groove for each energy level 1..3 (level 0 plays the lightest).
    """
    groove = grooves[max(0, section.energy - 1)]
    bars = round((section.end - section.start) / beats)
    notes: list[Note] = []
    for bar in range(bars):
        start = section.start + bar * beats
        played = _strokes(groove, bar, beats, start)
        last, half = bar == bars - 1, bar % 4 == 3
        if last or (half and rng.random() < 0.3):
            played = _fill(style.fills[rng.integers(len(style.fills))], played, start, beats)
        notes += played
    if section.energy >= 2 and style.name in CRASHES:
        notes.append(Note(section.start, 8 * STEP, KIT["crash"], 100))
    return notes
