"""Scales, chords in roman numerals, and voice leading. Pure functions on pitch classes."""

from __future__ import annotations

import itertools
import re

NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
PENTATONICS = {
    "major": (0, 2, 4, 7, 9),
    "mixolydian": (0, 2, 4, 7, 9),
    "minor": (0, 3, 5, 7, 10),
    "dorian": (0, 3, 5, 7, 10),
}

_ROMAN = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_TAILS = {
    "": (),
    "5": (),
    "6": (9,),
    "7": (10,),
    "9": (10, 14),
    "13": (10, 14, 21),
    "7b9": (10, 13),
    "maj7": (11,),
    "maj9": (11, 14),
    "add9": (14,),
    "7sus4": (10,),
    "sus2": (),
    "sus4": (),
    "dim": (),
    "dim7": (9,),
    "h7": (10,),
}
_CHORD = re.compile(r"^([b#]?)([ivIV]+)([^/]*)(?:/([b#]?)([ivIV]+))?$")


def _body(suffix: str, minor: bool) -> tuple[int, ...]:
    """Triad of a chord in semitones over its root."""
    special = {
        "5": (0, 7),
        "sus2": (0, 2, 7),
        "sus4": (0, 5, 7),
        "7sus4": (0, 5, 7),
        "dim": (0, 3, 6),
        "dim7": (0, 3, 6),
        "h7": (0, 3, 6),
    }
    return special.get(suffix, (0, 3, 7) if minor else (0, 4, 7))


def _shift(accidental: str) -> int:
    return {"": 0, "b": -1, "#": 1}[accidental]


def parse_chord(numeral: str, tonic: int) -> tuple[str, int, tuple[int, ...]]:
    """Roman numeral over a tonic -> (letter symbol, root pitch class, pitch classes).

    Numerals count from the major scale (``bVII`` is a whole tone under the tonic whatever the
    mode), lower case is minor, ``V7/ii`` is the dominant of the second degree.
    Raises ValueError for a numeral that cannot be read.
    """
    match = _CHORD.match(numeral)
    if match is None or match[2].lower() not in _ROMAN or match[3] not in _TAILS:
        raise ValueError(f"cannot read the chord {numeral!r}")
    minor = match[2].islower()
    root = tonic + _ROMAN[match[2].lower()] + _shift(match[1])
    if match[5]:
        root += _ROMAN[match[5].lower()] + _shift(match[4])
    tones = _body(match[3], minor) + _TAILS[match[3]]
    symbol = NAMES[root % 12] + _letter_suffix(match[3], minor)
    return symbol, root % 12, tuple(dict.fromkeys((root + t) % 12 for t in tones))


def _letter_suffix(suffix: str, minor: bool) -> str:
    if suffix in ("dim", "dim7", "5"):
        return suffix
    return "m7b5" if suffix == "h7" else ("m" if minor else "") + suffix


def parse_progression(text: str, beats_per_bar: int) -> list[tuple[float, str]]:
    """``"ii7 V7 | Imaj7"`` -> [(beats, numeral)]: bars apart by ``|``, shared evenly inside."""
    spans = []
    for bar in text.split("|"):
        numerals = bar.split()
        spans += [(beats_per_bar / len(numerals), numeral) for numeral in numerals]
    return spans


def scale_for(chord_tones: tuple[int, ...], tonic: int, steps: tuple[int, ...]) -> list[int]:
    """Pitch classes to play over a chord: the key's scale bent to hold every chord tone.

    A chord tone outside the scale replaces the scale's neighbours a semitone away, which is
    what a secondary dominant or a borrowed chord asks of the melody above it.
    """
    scale = {(tonic + step) % 12 for step in steps}
    for tone in chord_tones:
        if tone not in scale:
            scale -= {(tone - 1) % 12, (tone + 1) % 12} - set(chord_tones)
            scale.add(tone)
    return sorted(scale)


def pitches(classes: list[int] | tuple[int, ...], low: int, high: int) -> list[int]:
    """All MIDI pitches of the given pitch classes in [low, high], ascending."""
    wanted = set(classes)
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in wanted]


def nearest(pitch: float, choices: list[int]) -> int:
    """The choice closest to `pitch`; the lower of two equally close."""
    return min(choices, key=lambda choice: (abs(choice - pitch), choice))


def _essential(root: int, tones: tuple[int, ...], voices: int) -> tuple[int, ...]:
    """At most `voices` tones: the fifth goes first, then the root; colours stay."""
    kept = list(tones)
    for victim in ((root + 7) % 12, root):
        if len(kept) > voices and victim in kept:
            kept.remove(victim)
    return tuple(kept[:voices])


def _close_voicings(tones: tuple[int, ...], low: int, high: int) -> list[tuple[int, ...]]:
    found = []
    for rotation, bottom in itertools.product(range(len(tones)), range(low, high)):
        order = sorted(tones, key=lambda tone: (tone - tones[rotation]) % 12)
        if bottom % 12 != order[0]:
            continue
        close = tuple(bottom + (tone - order[0]) % 12 for tone in order)
        found.append(close)
        if len(close) >= 4:
            found.append(tuple(sorted((*close[:-2], close[-2] - 12, close[-1]))))
    return [voicing for voicing in found if voicing[0] >= low and voicing[-1] <= high]


def voice_lead(
    root: int,
    tones: tuple[int, ...],
    previous: tuple[int, ...] | None,
    low: int,
    high: int,
    voices: int = 4,
) -> tuple[int, ...]:
    """The voicing in [low, high] that moves least from `previous` (and stays near the middle)."""
    candidates = _close_voicings(_essential(root, tones, voices), low, high)
    middle = (low + high) / 2

    def cost(voicing: tuple[int, ...]) -> float:
        pull = abs(sum(voicing) / len(voicing) - middle)
        if previous is None:
            return pull
        moves = sum(min(abs(a - b) for b in previous) for a in voicing)
        return moves + abs(voicing[-1] - previous[-1]) + 0.3 * pull

    return min(candidates, key=lambda voicing: (cost(voicing), voicing))
