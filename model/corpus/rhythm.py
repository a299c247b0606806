"""Reading sixteenth patterns, swinging them and playing them a little unevenly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.corpus.song import Note

STEP = 0.25
"""Beats of one pattern character."""


def onsets(pattern: str) -> Iterator[tuple[float, float, str]]:
    """(position, length, character) in beats of every stroke; ``-`` lengthens the stroke."""
    for index, character in enumerate(pattern):
        if character in ".-":
            continue
        held = len(pattern[index + 1 :]) - len(pattern[index + 1 :].lstrip("-"))
        yield index * STEP, (1 + held) * STEP, character


def bar_of(pattern: str, bar: int, beats_per_bar: int) -> str:
    """The part of a one- or two-bar pattern that belongs to bar number `bar`."""
    steps = round(beats_per_bar / STEP)
    bars = max(1, len(pattern) // steps)
    return pattern[(bar % bars) * steps :][:steps]


def swing(beat: float, ratio: float, unit: float) -> float:
    """Move off-beats late: the first of each pair of `unit` beats takes `ratio` of the pair."""
    pair, inside = divmod(beat, 2 * unit)
    if inside < unit:
        return float(pair * 2 * unit + inside * 2 * ratio)
    return float(pair * 2 * unit + 2 * unit * ratio + (inside - unit) * 2 * (1 - ratio))


def humanise(
    notes: list[Note], rng: np.random.Generator, *, ratio: float, unit: float, jitter_beats: float
) -> tuple[Note, ...]:
    """Swing the grid, then shift every note a little and vary its velocity; ordered by time."""
    played = []
    for note in notes:
        start = swing(note.start, ratio, unit)
        end = swing(note.start + note.beats, ratio, unit)
        late = float(np.clip(rng.normal(0.0, 1.0), -2.0, 2.0)) * jitter_beats
        velocity = int(np.clip(note.velocity + rng.normal(0.0, 4.0), 20, 127))
        played.append(Note(max(0.0, start + late), end - start, note.pitch, velocity))
    return tuple(sorted(played, key=lambda note: (note.start, note.pitch)))
