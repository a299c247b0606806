"""`python -m bench.adherence`: does the music do what it is asked?

Streams play, are asked for something else, and are judged from 4 s after the change on: style and
instruments in the next 4 s by a judge trained for nothing else (`bench.judge`), drums by their
onsets, tempo and key in the next 8 s by pulse and chroma. Beside each rate stand the same stream
before the change, the held-out songs that are what is asked (the ceiling of the measure), the same
songs through the bundle's autoencoder, and held-out songs at random (chance).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from bench import machine
from bench.asks import Ask, asks
from bench.command import answered, bundle_options, opened
from bench.ear import Judge, load_judge
from bench.judge import truth_of
from bench.markdown import Row, table
from bench.material import stretch
from bench.playing import Player
from bench.rates import Stretch, Trial, median, summary
from bench.report import plain, publish
from bench.scene import Scene, composed, heard
from bench.spectra import Array
from bench.steering import Steerer
from engine.errors import ControlError
from model.corpus.dataset import Songs
from model.corpus.labels import frame_labels

LEAD_S = 6.0
SETTLE_S = 4.0
JUDGED_S = 4.0
LISTEN_S = 8.0
LABEL_HZ = 10.0


def stretches(
    songs: Songs, corpus: Path, each: int, player: Player, judge: Judge
) -> Iterable[Stretch]:
    """`each` stretches, evenly spread, of every held-out song that has its truth in `corpus`."""
    for entry in tqdm(songs.split("valid"), unit="song", desc="ceiling", disable=None):
        truth = truth_of(corpus, entry.name)
        room_s = entry.samples / songs.sample_rate_hz - LISTEN_S
        if truth is None or room_s < 0:
            continue
        labels = frame_labels(truth, round((room_s + LISTEN_S) * LABEL_HZ), LABEL_HZ)
        for start_s in np.linspace(0, room_s, each + 2)[1:-1]:
            audio = stretch(songs, entry, float(start_s), LISTEN_S, player.rate_hz)
            yield Stretch(
                composed(labels, LABEL_HZ, float(start_s), JUDGED_S, LISTEN_S),
                _heard_at_start(audio, player.rate_hz, judge),
                _heard_at_start(player.copy(audio), player.rate_hz, judge),
                kinds_of(player, audio),
            )


def recordings(songs: Songs, rate_hz: int) -> dict[str, Array]:
    """8 s from the middle of one held-out song of every style."""
    found: dict[str, Array] = {}
    for entry in songs.split("valid"):
        middle_s = entry.samples / songs.sample_rate_hz / 2
        if entry.style and entry.style not in found and middle_s > LISTEN_S:
            found[entry.style] = stretch(songs, entry, middle_s, LISTEN_S, rate_hz)
    return found


def kinds_of(player: Player, audio: Array) -> int:
    """How many kinds of semantic tokens 8 s of music hold."""
    return next(iter(player.kinds(audio)), 0)


def _heard_at_start(audio: Array, rate_hz: int, judge: Judge) -> Scene:
    return heard(audio[: round(JUDGED_S * rate_hz)], audio, rate_hz, judge)


def attempt(
    steerer: Steerer, player: Player, judge: Judge, ask: Ask, seed: int, sound: Path | None
) -> Trial:
    """Play and hear one ask; `sound` is a folder for what was played."""
    rate_hz = steerer.rate_hz
    lead, tail = steerer.steer(ask, LEAD_S, SETTLE_S + LISTEN_S, seed)
    if sound is not None:
        name = f"{ask.group} - {ask.name} - {seed}.flac".replace("/", "-")
        soundfile.write(sound / name, np.concatenate([lead, tail]), rate_hz)
    after = tail[round(SETTLE_S * rate_hz) :][: round(LISTEN_S * rate_hz)]
    return Trial(
        ask, seed,
        heard(lead[-round(JUDGED_S * rate_hz) :], lead, rate_hz, judge),
        _heard_at_start(after, rate_hz, judge),
        kinds_of(player, after),
    )  # fmt: skip


def page(report: dict[str, Any]) -> str:
    """The report, plain, in Markdown."""
    head = (
        "asked", "reached", "±", "goal", "", "before the change", "songs (ceiling)",
        "copies of songs", "chance", "streams", "kinds of tokens",
    )  # fmt: skip
    bundle = report["bundle"]
    parts = [
        f"# Does bundle {bundle['name']} ({bundle['hash'][:12]}) do what it is asked? "
        f"Revision {report['revision']}, backend {report['backend']}",
        f"{report['seeds']} streams an ask, judged from {SETTLE_S:g} s after the change on; "
        f"{report['stretches']} stretches of held-out songs. 8 s of these hold "
        f"{report['song_kinds']:g} kinds of semantic tokens, as the bundle hears them (medians).",
        table(head, [_row(name, found) for name, found in report["groups"].items()]),
    ]
    for name, found in report["groups"].items():
        rows = [_row(ask, one) for ask, one in found["each"].items()]
        parts += [f"## {name}", table(head, rows)]
    if report["refused"]:
        parts += ["## Not asked", "\n".join(f"- {line}" for line in report["refused"])]
    return "\n\n".join(parts) + "\n"


def _row(name: str, found: dict[str, Any]) -> Row:
    goal, reached = found.get("goal"), found["reached"]
    word = "" if goal is None or reached is None else "met" if reached >= goal else "MISSED"
    rest = (found[key] for key in ("before", "songs", "copies", "chance", "streams", "kinds"))
    return (name, reached, found["error"], goal, word, *rest)


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = bundle_options("adherence", __doc__)
    shaped.add_argument("--judge", type=Path, required=True, help="run folder of bench.judge")
    shaped.add_argument("--data", type=Path, required=True, help="prepared folder")
    shaped.add_argument("--corpus", type=Path, required=True, help="folder with its songs' truth")
    shaped.add_argument("--out", type=Path, default=Path("runs/adherence"))
    shaped.add_argument("--seeds", type=int, default=3, help="streams an ask")
    shaped.add_argument("--stretches", type=int, default=3, help="of every held-out song")
    shaped.add_argument("--only", nargs="*", help="groups whose names begin so; default all")
    shaped.add_argument("--sounds", action="store_true", help="keep what was played")
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or the error's code."""
    return answered("adherence", lambda: _report(parser().parse_args(argv)))


def _report(options: argparse.Namespace) -> int:
    bundle, backend = opened(options, prompting=True)
    judge, songs, player = load_judge(options.judge), Songs(options.data), Player(bundle, backend)
    steerer = Steerer(bundle, backend, recordings(songs, player.rate_hz))
    known = list(stretches(songs, options.corpus, options.stretches, player, judge))
    if not known:
        raise ValueError(f"no held-out song of {options.data} has its truth in {options.corpus}")
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = tuple(options.only or [""])
    asked = [ask for ask in asks() if ask.group.startswith(wanted)]
    trials, refused = trials_of(steerer, player, judge, asked, options)
    report = plain({
        "benchmark": "adherence",
        "revision": machine.revision(),
        "bundle": {"name": bundle.manifest.name, "hash": bundle.hash},
        "backend": backend.name,
        "seeds": options.seeds,
        "stretches": len(known),
        "song_kinds": median([one.kinds for one in known]),
        "groups": summary(trials, known, asked),
        "refused": refused,
    })  # fmt: skip
    publish(options.out, "adherence", report, page(report))
    return 0


def trials_of(
    steerer: Steerer,
    player: Player,
    judge: Judge,
    asked: Sequence[Ask],
    options: argparse.Namespace,
) -> tuple[list[Trial], list[str]]:
    """Every ask with every seed; and one line for each that cannot be asked."""
    trials, refused = [], []
    for ask in tqdm(asked, unit="ask", desc="streams", disable=None):
        if not steerer.can(ask):
            refused.append(f"{ask.name}: there is no such recording")
            continue
        try:
            for seed in range(options.seeds):
                sound = options.out if options.sounds else None
                trials.append(attempt(steerer, player, judge, ask, seed, sound))
        except ControlError as error:
            refused.append(f"{ask.name}: {error}")
    return trials, refused


if __name__ == "__main__":
    sys.exit(main())
