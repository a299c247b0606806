"""Captions of a stretch of a song: written in ever new words, and true of that stretch.

`facts` reads from the truth beside a song (`model.corpus.truth`) what holds between two times;
`caption` writes some of it, as a sentence or as a list of tags, with synonyms, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from model.corpus.phrases import (
    BRIGHTNESS_WORDS,
    DENSITY_WORDS,
    ENERGY_WORDS,
    GROUPS,
    INSTRUMENT_WORDS,
    INSTRUMENTAL_WORDS,
    MOOD_BPM,
    MOOD_WORDS,
    NO,
    NO_TWO,
    NOT,
    NOT_BRIGHTNESS_WORDS,
    NOT_DENSITY_WORDS,
    NOT_TEMPO_WORDS,
    ONLY,
    STYLE_WORDS,
    TEMPO_WORDS,
    Group,
)

Item = TypeVar("Item")
Table = Sequence[tuple[float, float, tuple[str, ...]]]

HEARD_S = 1.5
"""A part that plays for less than this, or than a quarter of the window, is not named."""


@dataclass(frozen=True)
class Facts:
    """What may be said of a stretch of a song. What is neither sounding nor absent is uncertain."""

    style: str
    bpm: float
    key: tuple[str, str] | None  # None where it changes
    sounding: tuple[str, ...]  # instruments, those that sound longest first
    absent: tuple[Group, ...]
    alone: bool  # nothing sounds but what is named in sounding
    density_hz: float
    brightness_hz: float
    energy: float


def facts(truth: dict[str, Any], start_s: float, end_s: float) -> Facts:
    """What holds from start_s to end_s of a song."""
    heard, playing, shortly = _heard(truth, start_s, end_s)
    enough_s = max(HEARD_S, (end_s - start_s) / 4)
    sounding = tuple(
        sorted((n for n, s in heard.items() if s >= enough_s), key=lambda n: -heard[n])
    )
    bar_s = truth["beats_per_bar"] * 60 / truth["bpm"]
    first, last = int(start_s / bar_s), max(int(end_s / bar_s), int(start_s / bar_s) + 1)
    return Facts(
        truth["style"], truth["bpm"], _key(truth, start_s, end_s), sounding,
        tuple(g for g in GROUPS if _absent(g, set(heard), playing)),
        not shortly and set(heard) == set(sounding),
        float(np.mean(truth["density_hz_by_bar"][first:last] or [truth["density_hz"]])),
        float(np.median(truth["brightness_hz_by_bar"][first:last] or [truth["brightness_hz"]])),
        _energy(truth, start_s, end_s),
    )  # fmt: skip


def caption(known: Facts, rng: np.random.Generator) -> str:
    """One random caption or tag list; every statement in it is true."""
    kinds = (_sentence, _tags, _ensemble, _short)
    text = kinds[int(rng.choice(4, p=(0.4, 0.25, 0.15, 0.2)))](known, rng)
    if rng.random() < 0.1:
        text = f"{_one(_OPENINGS, rng)} {text}"
    return text if rng.random() < 0.8 else text.capitalize() + "."


def _sentence(known: Facts, rng: np.random.Generator) -> str:
    """Adjectives, a noun, and what belongs behind it."""
    adjectives = _words(_some(_adjectives(known), rng, 3), rng)
    tails = [tail(known, rng) for tail in _some(_TAILS, rng, 3)]
    plain = any((*adjectives, *tails)) and rng.random() < 0.15
    noun = "music" if plain else _noun(known, rng)
    return " ".join(word for word in (*adjectives, noun, *tails) if word)


def _tags(known: Facts, rng: np.random.Generator) -> str:
    """Up to seven tags in any order."""
    tags = _words(_some(_adjectives(known), rng, 4), rng)
    tags += [tail(known, rng) for tail in _some((*_TAILS, _instrument, _instrument), rng, 4)]
    if rng.random() < 0.7 or not any(tags):
        tags.append(_noun(known, rng))
    rng.shuffle(tags)
    return _one((", ", " ", "; ", ", "), rng).join(tag for tag in tags if tag)


def _ensemble(known: Facts, rng: np.random.Generator) -> str:
    """What plays, and what it plays."""
    noun = _noun(known, rng)
    if known.alone and len(known.sounding) <= 3 and rng.random() < 0.7:
        names = _and([_name(one, rng) for one in _some(known.sounding, rng, 3, 3)], rng)
        only = _one(ONLY, rng).format(names)
        return only if rng.random() < 0.4 else f"{only}, {noun}"
    names = _with(known, rng).removeprefix("with ")
    tail = _one(_TAILS, rng)(known, rng) if rng.random() < 0.5 else ""
    joined = f"{names} playing {noun}" if names else noun
    return f"{joined} {tail}".strip()


def _short(known: Facts, rng: np.random.Generator) -> str:
    """One thing only."""
    ways = (_noun, _noun, _instrument, _instrument, _with, _without, _without, _adjective, _tempo,
            _in_key, _scene, _not)  # fmt: skip
    return _one(ways, rng)(known, rng) or _noun(known, rng)


def _adjectives(known: Facts) -> list[tuple[str, ...]]:
    """Rows of adjectives that are true; one word of a row is as good as another."""
    rows = [STYLE_WORDS[known.style].adjectives]
    rows += _fitting(TEMPO_WORDS, known.bpm)
    rows += _fitting(BRIGHTNESS_WORDS, known.brightness_hz)
    rows += _fitting(DENSITY_WORDS, known.density_hz)
    lively = known.bpm >= 110 or known.density_hz >= 12
    rows += [row for row in _fitting(ENERGY_WORDS, known.energy) if lively == (known.energy > 2)]
    if known.key:
        pace = "fast" if known.bpm >= MOOD_BPM else "slow"
        rows += [MOOD_WORDS[known.key[1], pace]] if (known.key[1], pace) in MOOD_WORDS else []
    return rows


def _adjective(known: Facts, rng: np.random.Generator) -> str:
    return _one(_one(_adjectives(known), rng), rng)


def _noun(known: Facts, rng: np.random.Generator) -> str:
    return _one(STYLE_WORDS[known.style].nouns, rng)


def _scene(known: Facts, rng: np.random.Generator) -> str:
    return f"{_one(('for', 'like', 'in'), rng)} {_one(STYLE_WORDS[known.style].scenes, rng)}"


def _name(instrument: str, rng: np.random.Generator) -> str:
    """One of the names of an instrument, or of those like it."""
    groups = [group.words for group in GROUPS if instrument in group.of]
    if groups and rng.random() < 0.35:
        return _one(_one(groups, rng), rng)
    return _one(INSTRUMENT_WORDS[instrument], rng)


def _instrument(known: Facts, rng: np.random.Generator) -> str:
    return _name(_one(known.sounding, rng), rng) if known.sounding else ""


def _with(known: Facts, rng: np.random.Generator) -> str:
    """Up to four of the instruments; drums, where there are any, more often than others."""
    names = _some(known.sounding, rng, 4, 1)
    if "drums" in known.sounding and "drums" not in names and rng.random() < 0.3:
        names = ["drums", *names]
    return f"with {_and([_name(name, rng) for name in names], rng)}" if names else ""


def _without(known: Facts, rng: np.random.Generator) -> str:
    """What does not sound; drums and bass are said most often."""
    if not known.absent:
        return ""
    weights = np.array([6.0 if g is GROUPS[0] else 3.0 if g is GROUPS[1] else 1.0
                        for g in known.absent])  # fmt: skip
    count = min(len(known.absent), 1 + (rng.random() < 0.25))
    picks = rng.choice(len(known.absent), count, replace=False, p=weights / weights.sum())
    names = [_one(known.absent[i].words, rng) for i in picks]
    if count == 2:
        return _one(NO_TWO, rng).format(*names)
    if "choir" in known.absent[picks[0]].of and rng.random() < 0.3:
        return _one(INSTRUMENTAL_WORDS, rng)
    if " " not in names[0] and rng.random() < 0.12:
        return f"{names[0].removesuffix('s') if names[0] != 'brass' else 'brass'}less"
    return _one(NO, rng).format(names[0])


def _not(known: Facts, rng: np.random.Generator) -> str:
    """A property or a style that it does not have."""
    rows = [*_fitting(NOT_TEMPO_WORDS, known.bpm), *_fitting(NOT_DENSITY_WORDS, known.density_hz),
            *_fitting(NOT_BRIGHTNESS_WORDS, known.brightness_hz)]  # fmt: skip
    others = tuple(name.replace("-", " ") for name in STYLE_WORDS if name != known.style)
    return _one(NOT, rng).format(_one(_one([*rows, others], rng), rng))


def _tempo(known: Facts, rng: np.random.Generator) -> str:
    """The tempo as a number, give or take 2 %."""
    bpm = known.bpm * rng.uniform(0.98, 1.02)
    ways = ("at {:.0f} bpm", "{:.0f} bpm", "{:.0f}bpm", "tempo {:.0f}", "{:.0f} beats per minute")
    return _one(ways, rng).format(bpm)


def _in_key(known: Facts, rng: np.random.Generator) -> str:
    """The key, or only its mode; nothing where it changes."""
    if known.key is None:
        return ""
    tonic, mode = known.key
    tonic = _one((tonic, _ENHARMONIC.get(tonic, tonic)), rng)
    ways = ("in {0} {1}", "{0} {1}", "in the key of {0} {1}", "in a {1} key", "{1} key", "{1}")
    return _one(ways, rng).format(tonic, mode)


_ENHARMONIC = {"Db": "C#", "Eb": "D#", "F#": "Gb", "Ab": "G#", "Bb": "A#"}
_OPENINGS = ("play", "i want", "something like", "please give me", "a piece of", "let us hear",
             "this is", "a recording of", "can you play")  # fmt: skip
_TAILS = (_with, _with, _without, _without, _tempo, _in_key, _scene, _not)


def _one(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.random() * len(items))]


def _some(items: Sequence[Item], rng: np.random.Generator, most: int, least: int = 0) -> list[Item]:
    """Between `least` and `most` of the items, in any order."""
    count = min(len(items), int(rng.integers(least, most + 1)))
    return [items[i] for i in rng.permutation(len(items))[:count]]


def _words(rows: Sequence[tuple[str, ...]], rng: np.random.Generator) -> list[str]:
    return [_one(row, rng) for row in rows]


def _fitting(table: Table, value: float) -> list[tuple[str, ...]]:
    return [words for low, high, words in table if low <= value < high]


def _and(names: Sequence[str], rng: np.random.Generator) -> str:
    """A list in words, a name no more than once."""
    names = list(dict.fromkeys(names))
    last = _one((" and ", " and ", ", ", " with "), rng)
    return last.join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _overlap_s(spans: list[tuple[float, float]], start_s: float, end_s: float) -> float:
    return sum(max(0.0, min(end, end_s) - max(start, start_s)) for start, end in spans)


def _heard(
    truth: dict[str, Any], start_s: float, end_s: float
) -> tuple[dict[str, float], set[str], bool]:
    """Seconds of each instrument that sounds, the parts that do, and: does one do so shortly?"""
    heard: dict[str, float] = {}
    playing, shortly = set(), False
    for part, stem in truth["stems"].items():
        seconds = _overlap_s(stem["active_s"], start_s, end_s)
        if seconds > 0:
            heard[stem["instrument"]] = max(seconds, heard.get(stem["instrument"], 0.0))
            playing.add(part)
            shortly |= seconds < max(HEARD_S, (end_s - start_s) / 4)
    return heard, playing, shortly


def _absent(group: Group, heard: set[str], playing: set[str]) -> bool:
    """Would anyone agree that the group is not heard?"""
    return not heard & {*group.of, *group.near} and not playing & set(group.parts)


def _key(truth: dict[str, Any], start_s: float, end_s: float) -> tuple[str, str] | None:
    """(tonic, mode) where only one key holds."""
    starts = [*[key["start_s"] for key in truth["keys"]][1:], np.inf]
    found = [key for key, until in zip(truth["keys"], starts, strict=True)
             if key["start_s"] < end_s and until > start_s]  # fmt: skip
    return (found[0]["tonic"], found[0]["mode"]) if len(found) == 1 else None


def _energy(truth: dict[str, Any], start_s: float, end_s: float) -> float:
    """Mean energy 0…3 of the sections."""
    parts = [(_overlap_s([(s["start_s"], s["end_s"])], start_s, end_s), s["energy"])
             for s in truth["sections"]]  # fmt: skip
    return sum(s * energy for s, energy in parts) / max(sum(s for s, _ in parts), 1e-9)
