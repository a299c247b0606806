"""What a composed song is: plain frozen data between composer, synthesiser and truth file.

Positions and lengths are in beats (quarter notes); a song has one tempo, so beat b sounds at
``b * 60 / bpm`` seconds. Swing and humanising are already inside the note positions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One note: position and length in beats, MIDI pitch 0..127, velocity 1..127."""

    start: float
    beats: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Chord:
    """A chord sounding from `start` for `beats`: letter symbol, root and all pitch classes."""

    start: float
    beats: float
    symbol: str
    root: int
    tones: tuple[int, ...]


@dataclass(frozen=True)
class Key:
    """The key from beat `start` on: tonic pitch class and mode name."""

    start: float
    tonic: int
    mode: str


@dataclass(frozen=True)
class Section:
    """A stretch of form: its letter, energy 0..3 and the parts that may sound in it."""

    label: str
    start: float
    end: float
    energy: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One stem: a GM program (or a drum kit), its notes, mix level and reverb send 0..127."""

    name: str
    program: int
    drums: bool
    notes: tuple[Note, ...]
    level_db: float
    reverb: int


@dataclass(frozen=True)
class Song:
    """Everything that is played, and everything the truth file says about it."""

    style: str
    bpm: float
    beats_per_bar: int
    bars: int
    keys: tuple[Key, ...]
    sections: tuple[Section, ...]
    chords: tuple[Chord, ...]
    parts: tuple[Part, ...]
    seed: int
    index: int

    @property
    def beats(self) -> int:
        """Length in beats: whole bars."""
        return self.bars * self.beats_per_bar

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.beats * 60.0 / self.bpm

    def key_at(self, beat: float) -> Key:
        """The key that holds at `beat`."""
        return [key for key in self.keys if key.start <= beat + 1e-9][-1]

    def chord_at(self, beat: float) -> Chord:
        """The chord that holds at `beat`."""
        return [chord for chord in self.chords if chord.start <= beat + 1e-9][-1]
