"""Lead melodies: motifs that are repeated, moved with the harmony, answered and varied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model.corpus.rhythm import bar_of, onsets
from model.corpus.song import Note, Song
from model.corpus.style import Style
from model.corpus.theory import PENTATONICS, SCALES, nearest, pitches, scale_for

LEAD_RANGE = (62, 86)


@dataclass(frozen=True)
class Motif:
    """A bar of melody without pitches: a rhythm pattern and scale steps from note to note."""

    rhythm: str
    steps: tuple[int, ...]


def make_motif(style: Style, rng: np.random.Generator) -> Motif:
    """Draw a rhythm of the style and a contour of mostly small steps for it."""
    rhythm = style.lead[rng.integers(len(style.lead))]
    count = sum(1 for _ in onsets(rhythm))
    direction = 1 if rng.random() < 0.5 else -1
    steps = []
    for _ in range(count):
        size = int(rng.choice((3, 4))) if rng.random() < style.leap else int(rng.choice((1, 1, 2)))
        steps.append(direction * size)
        if rng.random() < 0.4 or size > 2:
            direction = -direction
    return Motif(rhythm, tuple(steps))


def vary(motif: Motif, rng: np.random.Generator) -> Motif:
    """The same rhythm and beginning with another end."""
    tail = max(1, len(motif.steps) // 2)
    fresh = tuple(int(rng.choice((-2, -1, 1, 2))) for _ in range(tail))
    return replace(motif, steps=motif.steps[:-tail] + fresh)


@dataclass(frozen=True)
class Theme:
    """Four bars of motifs (a a' a b and the like) that a section's melody cycles through."""

    bars: tuple[Motif, ...]
    anchor: int


def make_theme(style: Style, rng: np.random.Generator) -> Theme:
    """Draw two motifs and lay them out in one of the usual four-bar plans."""
    a, b = make_motif(style, rng), make_motif(style, rng)
    plans = ((a, vary(a, rng), a, b), (a, b, a, vary(b, rng)), (a, a, vary(a, rng), b))
    return Theme(plans[rng.integers(len(plans))], int(rng.integers(68, 78)))


def _ladder(song: Song, style: Style, beat: float) -> tuple[list[int], list[int]]:
    """(pitches of the scale over the chord at `beat`, pitches of the chord) in range."""
    chord, key = song.chord_at(beat), song.key_at(beat)
    steps = (PENTATONICS if style.pentatonic else SCALES)[key.mode]
    scale = scale_for(chord.tones, key.tonic, steps)
    return pitches(scale, *LEAD_RANGE), pitches(chord.tones, *LEAD_RANGE)


def _move(pitch: int, step: int, ladder: list[int]) -> int:
    """`step` rungs along the scale from the rung nearest to `pitch`, bounced off its ends."""
    index = ladder.index(nearest(pitch, ladder)) + step
    if not 0 <= index < len(ladder):
        index -= 2 * step
    return ladder[min(max(index, 0), len(ladder) - 1)]


def play_lead(
    song: Song, style: Style, theme: Theme, bars: range, rng: np.random.Generator
) -> list[Note]:
    """The theme over `bars`: each bar starts near the anchor, strong and long notes fit the chord.

    From the fifth bar on a bar may end differently than the first time it was heard.
    """
    notes: list[Note] = []
    for count, bar in enumerate(bars):
        motif = theme.bars[count % len(theme.bars)]
        if count >= 4 and rng.random() < 0.4:
            motif = vary(motif, rng)
        pitch = theme.anchor
        start = float(bar * song.beats_per_bar)
        strokes = onsets(bar_of(motif.rhythm, 0, song.beats_per_bar))
        for (beat, length, _), step in zip(strokes, motif.steps, strict=False):
            scale, chord = _ladder(song, style, start + beat)
            pitch = _move(pitch, step, scale)
            if beat == int(beat) or length >= 0.75:
                pitch = nearest(pitch, chord)
            velocity = 100 if beat == int(beat) else 90
            notes.append(Note(start + beat, length * 0.95, pitch, velocity))
    return notes
