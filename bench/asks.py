"""What a player might ask while the music plays, and how to tell that it was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bench.music import TEMPO_TOLERANCE, same_tempo
from bench.scene import Scene
from engine.brief import FAMILIES, SCALES, TONICS, spoken
from engine.harmony import notes_of
from model.corpus.labels import STYLE_NAMES

Test = Callable[[Scene], bool]

TEMPI_BPM = (66.0, 80.0, 96.0, 108.0, 124.0, 144.0, 170.0)
"""Across what the corpus was composed in. The change is from the third before, never an octave."""
KEYS = (
    ("C", "major"), ("F#", "minor"), ("G", "dorian"), ("Bb", "mixolydian"), ("E", "major"),
    ("B", "minor"), ("A", "dorian"), ("F", "mixolydian"),
)  # fmt: skip
"""No two have the same notes. The change is from the one before."""
FORBIDDEN_IN_WORDS = ("drums", "bass")
RHYTHM_ONLY = {family: float(family in ("drums", "bass")) for family in FAMILIES}
GOALS = {
    "style": 0.85,
    "instrument on": 0.85,
    "instrument off": 0.85,
    "bpm": 0.80,
    "key": 0.70,
}
"""What must be reached, by group."""


@dataclass(frozen=True)
class Wish:
    """All that is asked at one time; what is not named is free.

    `recording` names the style of a held-out recording that is given as the prompt.
    """

    text: str = ""
    recording: str = ""
    controls: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """A change from one wish to another, and the tests it is to pass by the group they count in."""

    name: str
    before: Wish
    after: Wish
    tests: Mapping[str, Test]

    @property
    def group(self) -> str:
        """The first of its groups."""
        return next(iter(self.tests))


def asks() -> list[Ask]:
    """All of them, group by group."""
    return [*_styles(), *_instruments(), *_words(), *_rhythm_only(), *_tempi(), *_keys()]


def _styles() -> Iterator[Ask]:
    for place, style in enumerate(STYLE_NAMES):
        yield Ask(style, Wish(STYLE_NAMES[place - 4]), Wish(style), {"style": _is_in(style)})
    for place, style in enumerate(STYLE_NAMES):
        before, after = (Wish(recording=name) for name in (STYLE_NAMES[place - 4], style))
        yield Ask(
            f"a recording of {style}", before, after, {"style, by a recording": _is_in(style)}
        )


def _instruments() -> Iterator[Ask]:
    for on in (True, False):
        for family in FAMILIES:
            tests = {f"instrument {'on' if on else 'off'}": _plays(family, on)}
            if family == "drums":
                tests[f"drums {'on' if on else 'off'}, by their onsets"] = _strikes(on)
            before, after = (Wish(controls={family: float(value)}) for value in (not on, on))
            yield Ask(f"{family} {'on' if on else 'off'}", before, after, tests)


def _words() -> Iterator[Ask]:
    for family in FAMILIES:
        text, tests = f"with {spoken(family)}", {"instrument on, in words": _plays(family, True)}
        yield Ask(text, Wish(controls={family: 0.0}), Wish(text), tests)
    for family in FORBIDDEN_IN_WORDS:
        text = f"no {spoken(family)}"
        tests = {"instrument off, in words": _plays(family, False)}
        if family == "drums":
            tests["drums off, by their onsets"] = _strikes(False)
        yield Ask(text, Wish(f"with {spoken(family)}"), Wish(text), tests)


def _rhythm_only() -> Iterator[Ask]:
    def only(scene: Scene) -> bool:
        return all(scene.families[name] == bool(on) for name, on in RHYTHM_ONLY.items())

    text = "only bass and drums"
    yield Ask(text, Wish(), Wish(controls=RHYTHM_ONLY), {text: only})
    yield Ask(text, Wish(), Wish(text), {f"{text}, in words": only})


def _tempi() -> Iterator[Ask]:
    for place, bpm in enumerate(TEMPI_BPM):
        before, after = (Wish(controls={"bpm": value}) for value in (TEMPI_BPM[place - 3], bpm))
        tests = {"bpm": _beats(bpm, octaves=True), "bpm, no octave allowed": _beats(bpm)}
        yield Ask(f"{bpm:g} bpm", before, after, tests)


def _keys() -> Iterator[Ask]:
    for place, (tonic, scale) in enumerate(KEYS):
        before, after = (_in_key(*KEYS[place - 1]), _in_key(tonic, scale))
        notes = notes_of(TONICS.index(tonic), scale)
        tests = {"key": _has_the_notes(notes), "key, one note off": _has_the_notes(notes, 5, 7)}
        yield Ask(f"{tonic} {scale}", before, after, tests)


def _in_key(tonic: str, scale: str) -> Wish:
    return Wish(controls={"tonic": float(TONICS.index(tonic)), "scale": float(SCALES.index(scale))})


def _is_in(style: str) -> Test:
    return lambda scene: scene.style == style


def _plays(family: str, on: bool) -> Test:
    return lambda scene: scene.families[family] is on


def _strikes(on: bool) -> Test:
    return lambda scene: scene.drums is on


def _beats(bpm: float, octaves: bool = False) -> Test:
    if octaves:
        return lambda scene: same_tempo(scene.bpm, bpm)
    return lambda scene: abs(scene.bpm / bpm - 1.0) <= TEMPO_TOLERANCE


def _has_the_notes(notes: int, *away: int) -> Test:
    """These, or those so many semitones away: a fifth up or down changes one note of seven."""
    right = {(notes + steps) % len(TONICS) for steps in (0, *away)}
    return lambda scene: scene.notes in right


def _spoken(family: str) -> str:
    return family.replace("_", " ")
