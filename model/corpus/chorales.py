"""Four-part chorales from a JSON of note numbers, played as one more style.

The file holds lists of pieces under "train", "valid", "test"; a piece is a list of sixteenth
steps [soprano, alto, tenor, bass] of MIDI numbers, -1 or NaN for a rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.corpus.composer import DURATION_S, pick
from model.corpus.rhythm import STEP, humanise
from model.corpus.song import Chord, Key, Note, Part, Section, Song
from model.corpus.theory import NAMES

STYLE = "chorale"
VOICES = ("soprano", "alto", "tenor", "bass")
BEATS_PER_BAR = 4
LABELS = "ABCDEFGH"

ENSEMBLES: tuple[tuple[int, int, int, int], ...] = (
    (19, 19, 19, 19),
    (16, 16, 16, 16),
    (48, 48, 48, 48),
    (52, 52, 52, 52),
    (56, 60, 57, 58),
    (73, 68, 71, 70),
    (0, 0, 0, 0),
)
_STRUCK = (0,)
"""Programs that fade by themselves, so that a held note is struck anew on every beat."""
_TIMING_S = 0.006
_REVERB = 80
_DOUBLES = (49, 52, 19)
_LEVELS_DB = {"soprano": -1.0, "alto": -4.0, "tenor": -4.0, "bass": -2.0, "double": -8.0}

Piece = list[tuple[int, int, int, int]]
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_FINAL_WEIGHT = 0.2
_SHAPES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7b5": (0, 3, 6, 10),
}


def read_chorales(folder: Path) -> list[Piece]:
    """All pieces of every ``*.json`` in `folder` (or below). ValueError names what is missing."""
    files = sorted(folder.rglob("*.json"))
    pieces = [piece for path in files for piece in _pieces(json.loads(path.read_text()))]
    if not pieces:
        raise ValueError(f"no four-part chorales in {folder}: expected a .json of [S, A, T, B]")
    return pieces


def _pieces(data: dict[str, list[list[list[float]]]]) -> Iterator[Piece]:
    for name in ("train", "valid", "test"):
        for piece in data.get(name, []):
            if len(piece) >= 16 and all(len(step) == 4 for step in piece):
                steps = [(_number(s), _number(a), _number(t), _number(b)) for s, a, t, b in piece]
                yield _without_rests(steps)


def _number(value: float | None) -> int:
    return -1 if value is None or math.isnan(value) or value < 0 else int(value)


def _without_rests(piece: Piece) -> Piece:
    """Beats in which no voice sounds are left out: a song has no silence in it."""
    beats = [piece[begin : begin + 4] for begin in range(0, len(piece), 4)]
    return [step for beat in beats if any(max(step) >= 0 for step in beat) for step in beat]


def _transpose(piece: Piece, shift: int) -> Piece:
    def move(pitch: int) -> int:
        return pitch + shift if pitch >= 0 else -1

    return [(move(s), move(a), move(t), move(b)) for s, a, t, b in piece]


def _voice(steps: list[int], struck: bool) -> list[Note]:
    """Steps of one voice to notes: equal steps hold, or strike anew on the beat if `struck`."""
    notes: list[Note] = []
    for index, pitch in enumerate(steps):
        repeated = index > 0 and steps[index - 1] == pitch
        if pitch < 0:
            continue
        if repeated and not (struck and index % 4 == 0):
            notes[-1] = replace(notes[-1], beats=notes[-1].beats + STEP)
        else:
            notes.append(Note(index * STEP, STEP, pitch, 92 if index % 4 == 0 else 84))
    return notes


def _key(piece: Piece) -> tuple[int, str]:
    """Tonic and mode whose Krumhansl profile fits best; the last bass note weighs as tonic."""
    heard = np.zeros(12)
    for step in piece:
        for pitch in step:
            if pitch >= 0:
                heard[pitch % 12] += 1.0
    fits = {
        (tonic, mode): float(np.corrcoef(heard, np.roll(profile, tonic))[0, 1])
        + _FINAL_WEIGHT * (tonic == piece[-1][3] % 12)
        for mode, profile in (("major", _MAJOR), ("minor", _MINOR))
        for tonic in range(12)
    }
    return max(fits, key=lambda key: fits[key])


def _chord(beat: float, steps: Piece) -> Chord:
    """The triad or seventh chord that explains the notes of one beat best."""
    heard = [pitch for step in steps for pitch in step if pitch >= 0] or [0]
    counts = np.bincount([pitch % 12 for pitch in heard], minlength=12)
    bass = steps[0][3] % 12

    def score(choice: tuple[int, str]) -> float:
        tones = [(choice[0] + step) % 12 for step in _SHAPES[choice[1]]]
        hits = int(sum(counts[tone] for tone in tones))
        return 2 * hits - len(heard) - 0.8 * len(tones) + 0.5 * (choice[0] == bass)

    root, shape = max(((r, s) for s in _SHAPES for r in range(12)), key=score)
    tones = tuple((root + step) % 12 for step in _SHAPES[shape])
    return Chord(beat, 1.0, NAMES[root] + shape, root, tones)


def _gather(
    pieces: list[Piece], steps: int, rng: np.random.Generator
) -> tuple[Piece, list[Key], list[Section]]:
    """Transposed pieces one after the other, whole beats each, until `steps` are full."""
    music: Piece = []
    keys: list[Key] = []
    sections: list[Section] = []
    while len(music) < steps:
        piece = pick(rng, pieces)
        piece = _transpose(piece, int(rng.integers(-4, 5)))
        begin = len(music) * STEP
        keys.append(Key(begin, *_key(piece)))
        music += piece[: min(len(piece) // 4 * 4, steps - len(music))]
        label = LABELS[len(sections) % len(LABELS)]
        sections.append(Section(label, begin, len(music) * STEP, 2, VOICES))
    return music, keys, sections


def _double(music: Piece, rng: np.random.Generator) -> list[Note]:
    """All four voices once more in every other four bars, as a second choir."""
    first = int(rng.integers(2))
    stretch = 4 * BEATS_PER_BAR
    notes = [note for voice in range(4) for note in _voice([step[voice] for step in music], False)]
    return [note for note in notes if int(note.start // stretch) % 2 == first]


def _orchestrate(music: Piece, bpm: float, rng: np.random.Generator) -> tuple[Part, ...]:
    """The four voices on one of the ensembles, in half of the songs with a second choir."""
    programs = pick(rng, ENSEMBLES)
    notes = {
        name: _voice([step[v] for step in music], programs[v] in _STRUCK)
        for v, name in enumerate(VOICES)
    }
    chosen = dict(zip(VOICES, programs, strict=True))
    if rng.random() < 0.5:
        notes["double"] = _double(music, rng)
        chosen["double"] = pick(rng, _DOUBLES)
    jitter = _TIMING_S * bpm / 60.0
    made = []
    for name, written in notes.items():
        played = humanise(written, rng, ratio=0.5, unit=0.5, jitter_beats=jitter)
        made.append(Part(name, chosen[name], False, played, _LEVELS_DB[name], _REVERB))
    return tuple(made)


def compose_chorale(pieces: list[Piece], seed: int, index: int) -> Song:
    """Song `index` of corpus `seed` out of `pieces`: transposed, strung together, orchestrated."""
    rng = np.random.default_rng([seed, index, 0xBAC4])
    bpm = float(rng.integers(72, 97))
    bars = round(float(rng.uniform(*DURATION_S)) * bpm / 60.0 / BEATS_PER_BAR)
    beats = bars * BEATS_PER_BAR
    music, keys, sections = _gather(pieces, 4 * beats, rng)
    chords = tuple(_chord(float(beat), music[4 * beat : 4 * beat + 4]) for beat in range(beats))
    parts = _orchestrate(music, bpm, rng)
    return Song(
        style=STYLE,
        bpm=bpm,
        beats_per_bar=BEATS_PER_BAR,
        bars=bars,
        keys=tuple(keys),
        sections=tuple(sections),
        chords=chords,
        parts=parts,
        seed=seed,
        index=index,
    )
