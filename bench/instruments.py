"""`python -m bench.instruments`: where instruments get lost on their way to the ear.

Stretches of held-out songs in which one family of instruments sounds all the way. The judge of
`bench.adherence` hears each as it is; as the autoencoder copies it; and as the velocity network
plays its true tokens from nothing, told only that this family plays. What is missing of the copies
is the autoencoder's fault, what else is missing of the tokens the velocity network's, and what is
missing of `bench.adherence` beside that the language model's.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench import machine
from bench.command import answered, bundle_options, opened
from bench.ear import load_judge
from bench.judge import LABEL_HZ, Song, known_songs
from bench.markdown import Row, table
from bench.material import stretch
from bench.playing import Player
from bench.recital import Reciter
from bench.report import plain, publish
from engine.brief import FAMILIES
from model.corpus.dataset import Songs

WHOLE_S, JUDGED_S, HOP_S = 11.0, (5.0, 9.0), 6.0
"""A stretch, what of it is judged, and from one to the next."""
SOUNDING = 0.9
"""Part of a stretch in which the family must sound."""
FEWEST = 4
"""Stretches of a family; where there are fewer, nothing is said of it."""

Place = tuple[Song, float]
"""A song, and the second in which a stretch of it begins."""


def places_of(known: Sequence[Song]) -> dict[str, list[Place]]:
    """Where each family sounds all the way."""
    found: dict[str, list[Place]] = {family: [] for family in FAMILIES}
    for song in known:
        length_s = len(song.sounding) / LABEL_HZ
        for start_s in np.arange(0.0, length_s - WHOLE_S, HOP_S):
            first = round(start_s * LABEL_HZ)
            part = song.sounding[first : first + round(WHOLE_S * LABEL_HZ)].mean(axis=0)
            for family, sounding in zip(FAMILIES, part, strict=True):
                if sounding > SOUNDING:
                    found[family].append((song, float(start_s)))
    return found


def drawn(places: Sequence[Place], most: int) -> list[Place]:
    """At most so many of them, always the same: of as many songs as there are."""
    shuffled = [places[int(place)] for place in np.random.default_rng(1).permutation(len(places))]
    met: Counter[str] = Counter()
    ranked = []
    for song, start_s in shuffled:
        ranked.append((met[song.entry.name], song, start_s))
        met[song.entry.name] += 1
    ranked.sort(key=lambda each: each[0])
    return [(song, start_s) for _, song, start_s in ranked[:most]]


def rates(heard: Sequence[tuple[bool, bool, bool]]) -> dict[str, float]:
    """Of stretches in which a family was heard or not: songs, copies, tokens."""
    songs, copies, tokens = np.mean(heard, axis=0).tolist()
    return {"stretches": len(heard), "songs": songs, "copies": copies, "tokens": tokens}


def page(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    rows: list[Row] = [
        (name, *(found[key] for key in ("stretches", "songs", "copies", "tokens")))
        for name, found in {**report["families"], "all": report["all"]}.items()
    ]
    bundle = report["bundle"]
    return "\n\n".join([
        f"# Where instruments get lost: bundle {bundle['name']} ({bundle['hash'][:12]}), "
        f"revision {report['revision']}, backend {report['backend']}",
        table(("family", "stretches", "songs", "copies", "true tokens"), rows),
    ]) + "\n"  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = bundle_options("instruments", __doc__)
    shaped.add_argument("--judge", type=Path, required=True, help="run folder of bench.judge")
    shaped.add_argument("--data", type=Path, required=True, help="prepared folder")
    shaped.add_argument("--corpus", type=Path, required=True, help="folder with its songs' truth")
    shaped.add_argument("--split", choices=("valid", "all"), default="valid",
                        help="`all` for a folder made for this with another seed")  # fmt: skip
    shaped.add_argument("--stretches", type=int, default=6, help="of a family, at most")
    shaped.add_argument("--out", type=Path, default=Path("runs/instruments"))
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or the error's code."""
    return answered("instruments", lambda: _report(parser().parse_args(argv)))


def _report(options: argparse.Namespace) -> int:
    bundle, backend = opened(options, prompting=True)
    judge, songs = load_judge(options.judge), Songs(options.data)
    player, reciter = Player(bundle, backend), Reciter(bundle, backend)
    rate_hz = player.rate_hz
    splits = ("valid", "train") if options.split == "all" else ("valid",)
    known = [song for split in splits for song in known_songs(songs, options.corpus, split)]
    begin, end = (round(at_s * rate_hz) for at_s in JUDGED_S)
    heard: dict[str, list[tuple[bool, bool, bool]]] = {}
    for family, places in tqdm(places_of(known).items(), unit="family", disable=None):
        if len(places) < FEWEST:
            continue
        heard[family] = []
        for seed, (song, start_s) in enumerate(drawn(places, options.stretches)):
            audio = stretch(songs, song.entry, start_s, WHOLE_S, rate_hz)
            sides = (audio, player.copy(audio), reciter.recite(audio, {family: 1.0}, seed))
            first, second, third = (
                judge.hear(side[begin:end], rate_hz).sounds(family) for side in sides
            )
            heard[family].append((first, second, third))
    if not heard:
        raise ValueError(f"no family sounds for {WHOLE_S:g} s in {FEWEST} places there")
    report = plain({
        "benchmark": "instruments",
        "revision": machine.revision(),
        "bundle": {"name": bundle.manifest.name, "hash": bundle.hash},
        "backend": backend.name,
        "families": {family: rates(each) for family, each in heard.items()},
        "all": rates([one for each in heard.values() for one in each]),
    })  # fmt: skip
    publish(options.out, "instruments", report, page(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
