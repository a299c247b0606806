"""The procedural composer: (style, seed, index) -> Song. Same arguments, same song.

A song is a row of sections. The form fixes each section's letter and energy, the energy its
layers, the letter its progression, theme and patterns: what returns under the same letter is
recognised, and layers come and go around it. Music goes on at full to the last bar line;
there is no ending, because whoever trains on it must not learn to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from model.corpus import parts
from model.corpus.drums import play_drums
from model.corpus.melody import Theme, make_theme, play_lead
from model.corpus.rhythm import humanise
from model.corpus.song import Chord, Key, Note, Part, Section, Song
from model.corpus.style import Drums, Style
from model.corpus.styles import STYLES
from model.corpus.theory import parse_chord, parse_progression

T = TypeVar("T")

DURATION_S = (52.0, 70.0)
FORMS: tuple[tuple[tuple[str, int], ...], ...] = (
    (("I", 1), ("A", 2), ("B", 3), ("A", 2), ("C", 0), ("B", 3), ("A", 3), ("B", 3)),
    (("I", 0), ("A", 1), ("A", 2), ("B", 3), ("A", 2), ("B", 3), ("C", 1), ("B", 3)),
    (("A", 2), ("B", 3), ("C", 1), ("A", 2), ("B", 3), ("A", 3), ("C", 0), ("B", 3)),
    (("A", 1), ("A", 2), ("B", 2), ("A", 3), ("C", 0), ("A", 2), ("B", 3), ("A", 3)),
)
"""Letters and energies; I and C borrow the harmony of A and B but play fewer layers."""

_MODULATIONS = (2, 1, 5, -3, 3)


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices`, each as likely."""
    return choices[int(rng.integers(len(choices)))]


@dataclass(frozen=True)
class _Material:
    """What a letter stands for: harmony, melody and one pattern a part."""

    progression: str
    theme: Theme
    bass: str
    comp: str
    arpeggio: str


def _material(style: Style, mode: str, rng: np.random.Generator) -> dict[str, _Material]:
    """Material of A and B (different progressions); the intro I takes A's, the break C B's."""
    order = rng.permutation(len(style.progressions[mode]))
    made = {}
    for letter, which in zip("AB", order, strict=False):
        made[letter] = _Material(
            style.progressions[mode][which],
            make_theme(style, rng),
            pick(rng, style.bass),
            pick(rng, style.comp),
            pick(rng, style.arpeggio or ("0",)),
        )
    return made | {"I": made["A"], "C": made["B"]}


def _form(style: Style, bars: int, beats: int, rng: np.random.Generator) -> tuple[Section, ...]:
    """Cut `bars` into sections; the last one may be shorter than the rest."""
    form, length = pick(rng, FORMS), pick(rng, style.section_bars)
    sections: list[Section] = []
    start = 0
    while start < bars:
        label, energy = form[len(sections) % len(form)]
        size = min(length if label in "AB" else max(4, length // 2), bars - start)
        layers = pick(rng, style.layers[energy])
        end = start + size
        sections.append(Section(label, start * beats, end * beats, energy, layers))
        start = end
    return tuple(sections)


def _keys(sections: tuple[Section, ...], mode: str, rng: np.random.Generator) -> tuple[Key, ...]:
    """The home key, and in a third of the songs another one from a later section on."""
    tonic = int(rng.integers(12))
    keys = [Key(0.0, tonic, mode)]
    if len(sections) > 3 and rng.random() < 0.33:
        turn = sections[int(rng.integers(len(sections) // 2, len(sections)))]
        keys.append(Key(turn.start, (tonic + pick(rng, _MODULATIONS)) % 12, mode))
    return tuple(keys)


def _chords(song: Song, material: dict[str, _Material]) -> tuple[Chord, ...]:
    """Every section's progression from its start, repeated until its end."""
    chords = []
    for section in song.sections:
        beat, turn = section.start, 0
        text = material[section.label].progression
        tonic = song.key_at(section.start).tonic
        spans = parse_progression(text, song.beats_per_bar)
        while beat < section.end:
            length, numeral = spans[turn % len(spans)]
            symbol, root, tones = parse_chord(numeral, tonic)
            chords.append(Chord(beat, min(length, section.end - beat), symbol, root, tones))
            beat, turn = beat + length, turn + 1
    return tuple(chords)


def _entries(section: Section, beats: int, rng: np.random.Generator) -> dict[str, range]:
    """Bars in which each layer plays: all of the section, or one layer enters half-way."""
    first, last = round(section.start / beats), round(section.end / beats)
    spans = {layer: range(first, last) for layer in section.layers}
    late = [x for x in section.layers if x in ("lead", "arpeggio", "harmony")]
    if len(section.layers) >= 4 and last - first >= 4 and late and rng.random() < 0.4:
        spans[pick(rng, late)] = range((first + last) // 2, last)
    return spans


class _Band:
    """The players of one song: which notes a layer plays over a span of bars."""

    def __init__(self, song: Song, style: Style, rng: np.random.Generator) -> None:
        self.song, self.style, self.rng = song, style, rng
        voices = parts.voices_of(style)
        self.grooves: tuple[Drums, ...] = tuple(pick(rng, level) for level in style.grooves)
        self.voicings = {
            "harmony": parts.Voicings(song, *parts.COMP_RANGE, voices),
            "pad": parts.Voicings(song, *parts.PAD_RANGE, voices),
            "arpeggio": parts.Voicings(song, *parts.ARPEGGIO_RANGE, voices),
        }

    def play(self, layer: str, section: Section, bars: range, own: _Material) -> list[Note]:
        """The notes of `layer` in `bars` of `section`."""
        song, rng = self.song, self.rng
        if layer == "drums":
            return play_drums(self.style, self.grooves, section, song.beats_per_bar, rng)
        if layer == "bass":
            return parts.play_bass(song, own.bass, bars, rng)
        if layer == "harmony":
            return parts.play_comp(song, own.comp, bars, self.voicings["harmony"])
        if layer == "pad":
            return parts.play_pad(song, bars, self.voicings["pad"])
        if layer == "arpeggio":
            return parts.play_arpeggio(song, own.arpeggio, bars, self.voicings["arpeggio"])
        return play_lead(song, self.style, own.theme, bars, rng)


def _parts(
    song: Song, style: Style, material: dict[str, _Material], rng: np.random.Generator
) -> tuple[Part, ...]:
    """All stems of the song, humanised, by name."""
    band = _Band(song, style, rng)
    notes: dict[str, list[Note]] = {}
    for section in song.sections:
        for layer, bars in _entries(section, song.beats_per_bar, rng).items():
            own = material[section.label]
            notes.setdefault(layer, []).extend(band.play(layer, section, bars, own))
    programs = style.programs | {"drums": style.kits}
    jitter = style.timing_ms / 1000.0 * song.bpm / 60.0
    made = []
    for name in sorted(notes):
        played = humanise(
            notes[name], rng, ratio=style.swing, unit=style.swing_unit, jitter_beats=jitter
        )
        level = style.levels_db[name] + float(rng.uniform(-1.5, 1.5))
        reverb = style.reverb // (3 if name in ("drums", "bass") else 1)
        drums = name == "drums"
        made.append(Part(name, pick(rng, programs[name]), drums, played, level, reverb))
    return tuple(made)


def compose(style_name: str, seed: int, index: int) -> Song:
    """Compose song `index` of corpus `seed` in a style of `STYLES` (KeyError for another)."""
    style = STYLES[style_name]
    rng = np.random.default_rng([seed, index, 0x5047])
    bpm = float(rng.integers(style.bpm[0], style.bpm[1] + 1))
    beats = 4
    bars = round(float(rng.uniform(*DURATION_S)) * bpm / 60.0 / beats)
    mode = pick(rng, style.modes)
    sections = _form(style, bars, beats, rng)
    keys = _keys(sections, mode, rng)
    song = Song(style.name, bpm, beats, bars, keys, sections, (), (), seed, index)
    material = _material(style, mode, rng)
    song = replace(song, chords=_chords(song, material))
    return replace(song, parts=_parts(song, style, material, rng))
