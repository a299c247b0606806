"""`python -m bench.drift`: how far prompted streams are from held-out music, minute by minute.

Every stream is asked for the style of one held-out song and left alone. Its Fréchet distance to
other held-out songs is measured in the first 44 s of each minute that is looked at, beside the
anchors of the same size: those held-out songs themselves, and their copies by the autoencoder.
Streams are played in step, some in each of --jobs processes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from bench import machine
from bench.asks import Wish
from bench.command import answered, bundle_options, opened
from bench.continuity import oddness
from bench.features import embed_all
from bench.frechet import LEAST_SONGS, Scale, distances
from bench.markdown import Row, table
from bench.material import Excerpt, held_out
from bench.playing import Player
from bench.report import plain, publish
from bench.spectra import Array
from bench.streams import STRETCH_S, Asked, Minutes, Streams
from bench.verdict import Check
from engine.errors import UsageError

ANCHOR, COPY = "held-out", "autoencoder"
LOOKS = 6
LOUDER = ("louder than minute 1 by", "mean, dB", "±", "furthest stream, dB")
GOALS = {"distance": 2.0, "drift": 0.2}
"""Greatest distance in anchors, and greatest growth of it from the first minute to the last."""


def looked_at(minutes: int) -> list[int]:
    """Up to 6 minutes, numbered from 1, the first and the last among them."""
    return sorted({round(place) for place in np.geomspace(1, minutes, min(LOOKS, minutes))})


def heard_of(options: argparse.Namespace, asked: Sequence[Asked]) -> list[Minutes]:
    """What some of the streams were like; in a process of its own where there are several."""
    bundle, backend = opened(options, prompting=True)
    until_s = monotonic() + 60 * options.within
    return Streams(bundle, backend, asked).hear(looked_at(options.minutes), until_s)


def heard_by_all(options: argparse.Namespace, asked: Sequence[Asked]) -> list[Minutes]:
    """All streams, dealt out to `--jobs` processes; only the minutes that all of them reached."""
    jobs = min(options.jobs, len(asked))
    if jobs == 1:
        parts = [heard_of(options, asked)]
    else:
        shares = [asked[job::jobs] for job in range(jobs)]
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            parts = list(pool.map(heard_of, repeat(options), shares))
    reached = set.intersection(*(set(heard) for part in parts for heard in part))
    if not reached:
        raise UsageError(f"not one minute was played within {options.within:g}: raise --within")
    every = (parts[number % jobs][number // jobs] for number in range(len(asked)))
    return [{minute: heard[minute] for minute in sorted(reached)} for heard in every]


def growth(reference: Sequence[Array], first: Sequence[Array], last: Sequence[Array]) -> float:
    """How much further the last minute is than the first, as a share."""
    found = distances(reference, {"first": first, "last": last})
    return found["last"] / found["first"] - 1.0


def jackknife(reference: Sequence[Array], first: Sequence[Array], last: Sequence[Array]) -> float:
    """Standard error of `growth`, by leaving out one song and stream at a time."""
    songs = range(len(reference))
    sides = (reference, first, last)
    each = [growth(*([side[i] for i in songs if i != out] for side in sides)) for out in songs]
    return float(np.sqrt((len(each) - 1) * np.var(each)))


def measure(
    reference: Sequence[Array], anchors: dict[str, list[Array]], heard: Sequence[Minutes]
) -> dict[str, Any]:
    """Distances of anchors and minutes, the two figures that have a goal, and levels."""
    minutes = {f"minute {minute}": [each[minute].features for each in heard] for minute in heard[0]}
    found = distances(reference, {**anchors, **minutes})
    scale = Scale.of(np.concatenate(reference))
    sides = [minutes[f"minute {minute}"] for minute in (min(heard[0]), max(heard[0]))]
    return {
        "songs": len(reference),
        "clips": sum(map(len, reference)),
        "enough_songs": len(reference) >= LEAST_SONGS,
        "distances": found,
        "oddness": {
            name: oddness(scale.apply(np.concatenate(songs)))
            for name, songs in {**anchors, **minutes}.items()
        },
        "distance": found["minute 1"] / found[ANCHOR],
        "drift": growth(reference, *sides),
        "drift_error": jackknife(reference, *sides),
        "levels": {f"minute {minute}": louder(heard, minute) for minute in sorted(heard[0])[1:]},
    }


def louder(heard: Sequence[Minutes], minute: int) -> dict[str, float]:
    """By how many dB a minute is louder than the first: the mean of the streams, its standard
    error, and the stream in which it is furthest from it.
    """
    by_db = np.array([each[minute].level_db - each[1].level_db for each in heard])
    return {
        "mean_db": float(by_db.mean()),
        "error_db": float(by_db.std() / np.sqrt(len(by_db))),
        "furthest_db": float(by_db[np.abs(by_db).argmax()]),
    }


def page(report: dict[str, Any]) -> str:
    """The report, plain, in Markdown."""
    bundle, anchor = report["bundle"], report["distances"][ANCHOR]
    rows: list[Row] = [
        (name, value, value / anchor, report["oddness"][name])
        for name, value in report["distances"].items()
    ]
    checks = [Check(name, report[name], goal, goal) for name, goal in GOALS.items()]
    verdicts: list[Row] = [
        (check.name, check.value, check.must, "met" if check.must_met else "MISSED")
        for check in checks
    ]
    levels: list[Row] = [
        (name, found["mean_db"], found["error_db"], found["furthest_db"])
        for name, found in report["levels"].items()
    ]
    quotable = "" if report["enough_songs"] else " **Too few songs to quote.**"
    return "\n\n".join([
        f"# Prompted streams of bundle {bundle['name']} ({bundle['hash'][:12]}) over time, "
        f"revision {report['revision']}, backend {report['backend']}",
        f"{report['clips']} clips of 2 s from {report['songs']} songs or streams on every side. "
        f"Drift ± {report['drift_error']:.2g}.{quotable}",
        table(("figure", "measured", "goal", ""), verdicts),
        table(("against held-out songs", "Fréchet distance", "in anchors", "oddness"), rows),
        *([table(LOUDER, levels)] if levels else []),
    ]) + "\n"  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = bundle_options("drift", __doc__)
    shaped.add_argument("--data", type=Path, required=True, help="prepared folder")
    shaped.add_argument("--split", choices=("valid", "all"), default="valid")
    shaped.add_argument("--streams", type=int, default=LEAST_SONGS)
    shaped.add_argument("--minutes", type=int, default=10, help="that each stream plays")
    shaped.add_argument("--jobs", type=int, default=1, help="processes that share the streams (1)")
    shaped.add_argument("--within", type=float, default=1e6, metavar="MINUTES",
                        help="of the clock: what is not reached by then is left out")  # fmt: skip
    shaped.add_argument("--out", type=Path, default=Path("runs/drift"))
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or the error's code."""
    return answered("drift", lambda: _report(parser().parse_args(argv)))


def _report(options: argparse.Namespace) -> int:
    if options.jobs < 1:
        raise UsageError(f"--jobs is {options.jobs}, at least 1 is needed")
    bundle, backend = opened(options, prompting=True)
    player = Player(bundle, backend)
    material = held_out(
        options.data, options.split, options.streams, 0.0, STRETCH_S, player.rate_hz
    )
    asked = [Asked(seed, Wish(song.style)) for seed, song in enumerate(material.prompted)]
    heard = heard_by_all(options, asked)
    anchors = {
        ANCHOR: _truths(material.prompted),
        COPY: [player.copy(song.truth) for song in material.prompted],
    }
    rate_hz = player.rate_hz
    reference = embed_all(_truths(material.reference), rate_hz)
    report = plain({
        "benchmark": "drift",
        "revision": machine.revision(),
        "bundle": {"name": bundle.manifest.name, "hash": bundle.hash},
        "backend": backend.name,
        **measure(reference, {k: embed_all(v, rate_hz) for k, v in anchors.items()}, heard),
    })  # fmt: skip
    publish(options.out, "drift", report, page(report))
    return 0


def _truths(songs: Sequence[Excerpt]) -> list[Array]:
    return [song.truth for song in songs]


if __name__ == "__main__":
    sys.exit(main())
