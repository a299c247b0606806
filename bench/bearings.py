"""`python -m bench.bearings`: the tempo, the bar and the key that a bundle hears in tokens.

Stretches of held-out songs are told to the engine as a take's tokens are (`engine.bearings`), and
what it hears is held against the corpus's truth: the tempo of the song, the place in the bar and
the key behind the stretch's last token. Chance is the same against the truth of every other song.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.command import answered, bundle_options, opened
from bench.judge import truth_of
from bench.markdown import Row, table
from bench.report import plain, write_json
from engine.bearings import Bearings
from engine.brief import SCALES, TONICS
from engine.bundle import Bundle
from engine.clock import SIXTEENTHS, Clock
from engine.errors import UsageError
from engine.harmony import notes_of
from engine.session import Backend
from model.tokenise import Semantics

BEAT = 4
"""Sixteenths of a beat."""
TEMPO_NEAR, PLACE_NEAR = 0.04, 1.0
"""A tempo is right within this share of it, a place in beat or bar within so many sixteenths."""


@dataclass(frozen=True)
class Fact:
    """The truth at the end of a stretch."""

    song: int
    style: str
    bpm: float
    place: float  # in the bar, in sixteenths
    bar: int  # sixteenths of a bar
    key: tuple[int, int]  # tonic, place in SCALES

    @classmethod
    def at(cls, truth: dict[str, Any], song: int, at_s: float) -> Fact:
        """From the JSON beside a song."""
        beats = truth["beats_per_bar"]
        place = BEAT * (at_s * truth["bpm"] / 60 % beats)
        key = [each for each in truth["keys"] if each["start_s"] <= at_s][-1]
        named = TONICS.index(key["tonic"]), SCALES.index(key["mode"])
        return cls(song, truth["style"], truth["bpm"], place, BEAT * beats, named)


@dataclass(frozen=True)
class Stretch:
    """What was heard in tokens, and what is so."""

    clock: Clock | None
    key: tuple[int, int] | None
    end: int  # the token behind the last
    fact: Fact

    @property
    def place(self) -> float:
        """Where in its bar the next token begins; NaN where no beat was heard."""
        if self.clock is None:
            return float("nan")
        return self.clock.start + self.end * self.clock.bpm / 60 * BEAT / self.clock.rate_hz


Measure = Callable[[Stretch, Fact], bool | None]
"""Is it right? None: not asked."""


def _tempo(octaves: tuple[float, ...]) -> Measure:
    def right(stretch: Stretch, fact: Fact) -> bool:
        bpm = stretch.clock.bpm if stretch.clock else 0.0
        return any(abs(bpm * by / fact.bpm - 1) <= TEMPO_NEAR for by in octaves)

    return right


def _beat(stretch: Stretch, fact: Fact) -> bool:
    return abs((stretch.place - fact.place + BEAT / 2) % BEAT - BEAT / 2) <= PLACE_NEAR


def _bar(stretch: Stretch, fact: Fact) -> bool | None:
    if fact.bar != SIXTEENTHS:
        return None
    apart = (stretch.place - fact.place + SIXTEENTHS / 2) % SIXTEENTHS - SIXTEENTHS / 2
    return abs(apart) <= PLACE_NEAR


def _notes(stretch: Stretch, fact: Fact) -> bool:
    return stretch.key is not None and _scale_of(stretch.key) == _scale_of(fact.key)


def _scale_of(key: tuple[int, int]) -> int:
    return notes_of(key[0], SCALES[key[1]])


MEASURES: dict[str, Measure] = {
    "a beat is heard": lambda stretch, fact: stretch.clock is not None,
    "tempo within 4 %": _tempo((1.0,)),
    "or an octave off": _tempo((1.0, 0.5, 2.0)),
    "beat": _beat,
    "bar of four": _bar,
    "a key is heard": lambda stretch, fact: stretch.key is not None,
    "notes of the key": _notes,
    "key": lambda stretch, fact: stretch.key == fact.key,
}


def stretches(
    backend: Backend, store: Semantics, corpus: Path, seconds: float, each: int
) -> list[Stretch]:
    """`each` stretches, evenly spread over every held-out song that is long enough.

    UsageError where there is none.
    """
    count, found = round(seconds * store.rate_hz), []
    held_out = [name for name in store.names if store.split[name] == "valid"]
    session = backend.session("evidence")
    for song, name in enumerate(held_out):
        truth, tokens = truth_of(corpus, name), store.tokens[name].astype(np.int64)
        if truth is None or len(tokens) < count:
            continue
        evidence = session.run({"tokens": tokens[None]})["evidence"][0]
        for end in np.linspace(count, len(tokens), each).round().astype(int).tolist():
            heard = Bearings().taken(evidence[end - count : end], end, store.rate_hz)
            fact = Fact.at(truth, song, end / store.rate_hz)
            found.append(Stretch(heard.clock, heard.key, end, fact))
    if not found:
        cure = "name the corpus that the store was made of, or less --seconds"
        raise UsageError(f"no held-out song of {seconds:g} s has its truth in {corpus}; {cure}")
    return found


def measure(found: Sequence[Stretch]) -> dict[str, Any]:
    """The share of right ones of each figure, by style and of all, and what chance would have."""
    facts = [stretch.fact for stretch in found]
    right = {
        name: [is_right(stretch, stretch.fact) for stretch in found]
        for name, is_right in MEASURES.items()
    }
    styles = np.array([fact.style for fact in facts])
    by_style = {
        style: {name: share(of, styles == style) for name, of in right.items()}
        for style in sorted(set(styles.tolist()))
    }
    chance = {
        name: share([
            is_right(one, fact) for one in found for fact in facts if fact.song != one.fact.song
        ])
        for name, is_right in MEASURES.items()
    }  # fmt: skip
    return {
        "songs": len({fact.song for fact in facts}), "stretches": len(found),
        "asked": {name: sum(is_right is not None for is_right in of) for name, of in right.items()},
        "all": {name: share(of) for name, of in right.items()},
        "chance": chance, "styles": by_style,
    }  # fmt: skip


def share(right: Sequence[bool | None], among: npt.NDArray[np.bool_] | None = None) -> float | None:
    """Of those that were asked; None where none was."""
    chosen = right if among is None else [one for one, so in zip(right, among, strict=True) if so]
    asked = [one for one in chosen if one is not None]
    return float(np.mean(asked)) if asked else None


def page(report: dict[str, Any], seconds: float) -> str:
    """The report, plain, in Markdown."""
    rows: list[Row] = [
        (name, *figures.values())
        for name, figures in {
            **report["styles"], "**all**": report["all"], "chance": report["chance"],
        }.items()
    ]  # fmt: skip
    asked = ", ".join(f"{count} of {name}" for name, count in report["asked"].items()
                      if count != report["stretches"])  # fmt: skip
    return "\n\n".join([
        f"Heard in {report['stretches']} stretches of {seconds:g} s of {report['songs']} held-out "
        f"songs{f' ({asked})' if asked else ''}, share that is right:",
        table(("", *MEASURES), rows),
    ])  # fmt: skip


def parser() -> ArgumentParser:
    """The options."""
    shaped = bundle_options("bearings", __doc__)
    shaped.add_argument("--corpus", type=Path, required=True, help="folder with the songs' truth")
    shaped.add_argument("--features", type=Path, required=True, help="store of model.tokenise")
    shaped.add_argument("--seconds", type=float, default=10.0, help="of a stretch")
    shaped.add_argument("--each", type=int, default=4, help="stretches a song")
    shaped.add_argument("--out", type=Path, help="a file for the report as JSON")
    return shaped


def run(options: Namespace) -> int:
    """Hear, print, write."""
    bundle, backend = opened(options, prompting=True)
    store = Semantics(options.features)
    check(bundle, store)
    found = stretches(backend, store, options.corpus, options.seconds, options.each)
    report = plain(measure(found))
    print(page(report, options.seconds))
    if options.out:
        write_json(options.out, report)
    return 0


def check(bundle: Bundle, store: Semantics) -> None:
    """UsageError where the bundle has no such tokens."""
    prompting = bundle.manifest.prompting
    if prompting is None:
        raise UsageError("the bundle takes no prompts, so it hears no beat; name another --bundle")
    if prompting.vocabulary < store.vocabulary:
        cure = "make the store with the bundle's own listener (export.restore, model.tokenise)"
        said = f"the store has {store.vocabulary} tokens, the bundle {prompting.vocabulary}"
        raise UsageError(f"{said}; {cure}")


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 where there is nothing to hear."""
    options = parser().parse_args(argv)
    return answered("bearings", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
