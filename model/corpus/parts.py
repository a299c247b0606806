"""The pitched parts: bass, comping, pad and arpeggio, each a reader of pattern strings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from model.corpus.rhythm import bar_of, onsets
from model.corpus.song import Chord, Note, Song
from model.corpus.style import Style
from model.corpus.theory import SCALES, nearest, pitches, scale_for, voice_lead

BASS_RANGE = (28, 48)
COMP_RANGE = (50, 74)
PAD_RANGE = (48, 72)
ARPEGGIO_RANGE = (52, 76)

_ACCENT = {"X": 104, "x": 90, "b": 94}


def _degree(chord: Chord, mark: str) -> int:
    """Semitones over the root of chord degree 1, 3, 5, 7 or 8; an octave for one it lacks."""
    above = sorted((tone - chord.root) % 12 for tone in chord.tones)
    wanted = {"1": (0,), "3": (3, 4), "5": (7, 6, 8), "7": (10, 11, 9), "8": ()}[mark]
    return next((step for step in wanted if step in above), 12)


def _walk(song: Song, previous: int, target: int, beat: float) -> int:
    """The next note of a walking line: a scale or chord tone on the way to `target`."""
    chord, key = song.chord_at(beat), song.key_at(beat)
    scale = scale_for(chord.tones, key.tonic, SCALES[key.mode])
    choices = [p for p in pitches(scale, *BASS_RANGE) if p != previous]
    aim = (previous + target) / 2 + (3 if target >= previous else -3)
    near = [p for p in choices if abs(p - previous) <= 5]
    return nearest(aim, near)


def play_bass(
    song: Song, pattern: str, bars: range, rng: np.random.Generator, low: int = BASS_RANGE[0]
) -> list[Note]:
    """The bass of `bars`: chord degrees, walking steps and approaches from below or above."""
    notes: list[Note] = []
    previous = low + 8
    for bar in bars:
        start = float(bar * song.beats_per_bar)
        for beat, length, mark in onsets(bar_of(pattern, bar, song.beats_per_bar)):
            chord = song.chord_at(start + beat)
            root = nearest(low + 8, pitches((chord.root,), low, low + 19))
            later = song.chord_at(min(start + beat + length, song.beats - 0.01))
            goal = nearest(low + 8, pitches((later.root,), low, low + 19))
            if chord.start == start + beat and mark in "wa":
                mark = "1"
            if mark == "a":
                pitch = goal + (-1 if rng.random() < 0.6 or goal + 1 > low + 20 else 1)
            elif mark == "w":
                pitch = _walk(song, previous, goal, start + beat)
            else:
                pitch = root + _degree(chord, mark)
            previous = pitch
            notes.append(Note(start + beat, length * 0.95, pitch, 98))
    return notes


class Voicings:
    """Chord voicings of one part over a song, led from chord to chord."""

    def __init__(self, song: Song, low: int, high: int, voices: int) -> None:
        """Voice every chord of `song` within [low, high]."""
        previous: tuple[int, ...] | None = None
        self._song = song
        self._by_start: dict[float, tuple[int, ...]] = {}
        for chord in song.chords:
            previous = voice_lead(chord.root, chord.tones, previous, low, high, voices)
            self._by_start[chord.start] = previous

    def at(self, beat: float) -> tuple[int, ...]:
        """The voicing sounding at `beat`, ascending."""
        return self._by_start[self._song.chord_at(beat).start]


def play_comp(song: Song, pattern: str, bars: range, voicings: Voicings) -> list[Note]:
    """Chords in the rhythm of `pattern`; a chord change cuts a held chord and strikes anew."""
    notes = []
    for bar in bars:
        start = float(bar * song.beats_per_bar)
        for beat, length, mark in onsets(bar_of(pattern, bar, song.beats_per_bar)):
            for piece_start, piece in _split(song, start + beat, length):
                voicing = voicings.at(piece_start)
                chosen = voicing[:1] if mark == "b" else voicing
                velocity = _ACCENT[mark] - (6 if piece_start > start + beat else 0)
                notes += [Note(piece_start, piece * 0.93, p, velocity) for p in chosen]
    return notes


def _split(song: Song, start: float, length: float) -> list[tuple[float, float]]:
    """Cut [start, start + length) at the chord changes inside it; drop slivers."""
    inside = [c.start for c in song.chords if start < c.start < start + length]
    edges = [start, *inside, start + length]
    return [(a, b - a) for a, b in pairwise(edges) if b - a > 0.2]


def play_pad(song: Song, bars: range, voicings: Voicings) -> list[Note]:
    """Held chords; a voice that stays on its pitch over a change of chord is tied over."""
    first, last = bars.start * song.beats_per_bar, bars.stop * song.beats_per_bar
    sounding: dict[int, float] = {}
    notes: list[Note] = []
    for chord in song.chords:
        if not first <= chord.start < last:
            continue
        voicing = voicings.at(chord.start)
        for pitch in [p for p in sounding if p not in voicing]:
            begun = sounding.pop(pitch)
            notes.append(Note(begun, chord.start - begun, pitch, 84))
        for pitch in voicing:
            sounding.setdefault(pitch, chord.start)
    return notes + [Note(begun, last - begun, pitch, 84) for pitch, begun in sounding.items()]


def play_arpeggio(song: Song, pattern: str, bars: range, voicings: Voicings) -> list[Note]:
    """Broken chords: digits index the voicing, counting on in octaves above it."""
    notes = []
    for bar in bars:
        start = float(bar * song.beats_per_bar)
        for beat, length, mark in onsets(bar_of(pattern, bar, song.beats_per_bar)):
            voicing = voicings.at(start + beat)
            octave, index = divmod(int(mark), len(voicing))
            accent = 10 if beat == int(beat) else 0
            notes.append(Note(start + beat, length, voicing[index] + 12 * octave, 82 + accent))
    return notes


def voices_of(style: Style) -> int:
    """Voices in a style's chords: triads where the harmony is plain, else up to four."""
    return 3 if style.name in ("chiptune", "folk") else 4
