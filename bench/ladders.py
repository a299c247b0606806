"""`python -m bench.ladders`: what passes a chunk buy, and the schedule of their angles.

The same held-out songs are continued with every number of steps by the linear and by the uniform
schedule: the Fréchet distance between its anchors, and the compute it took, of one bundle in one
run (compare MeLoDy, tables 2 and 4).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

from bench import listening, machine
from bench.command import answered, bundle_options, opened
from bench.frechet import CONTINUATION, HELD_OUT, SHUFFLED, Comparison
from bench.listening import Sides
from bench.markdown import Row, heading, table
from bench.material import HeldOut, held_out
from bench.playing import Player
from bench.report import plain, publish
from engine.angles import Table, schedule, uniform

PROMPT_S, TRUTH_S = 8.0, 16.0
STEPS = (2, 4, 5, 10, 20)
SCHEDULES: dict[str, Callable[[int], Table]] = {"linear": schedule, "uniform": uniform}


@dataclass(frozen=True)
class Rung:
    """One ladder: how far its music is from held-out music, and compute s per audio s."""

    steps: int
    schedule: str
    found: Comparison
    real_time_factor: float

    @property
    def row(self) -> Row:
        """Of the table."""
        f = self.found
        distance = f.distances[CONTINUATION]
        return (
            f"{self.steps}, {self.schedule}", distance, f.ratio, f.ratio_error,
            self.real_time_factor,
        )  # fmt: skip


def measure(
    player: Player, material: HeldOut, anchors: Sides, steps: int, name: str, guidance: float
) -> Rung:
    """Continue every prompted song by one ladder."""
    songs, continued, wanted = material.prompted, [], {"steps": float(steps)}
    if guidance:
        wanted["guidance"] = guidance
    before_s = player.spent_s
    for seed, song in enumerate(songs):
        made = player.play(song.prompt, TRUTH_S, seed, None, wanted, SCHEDULES[name])
        continued.append(made)
    factor = (player.spent_s - before_s) / (TRUTH_S * len(songs))
    found = anchors.beside(continued, player.rate_hz).comparison()
    line = f"{steps} steps, {name}: ratio {found.ratio:.3f} ± {found.ratio_error:.3f}"
    print(f"{line}, real-time factor {factor:.3f}", file=sys.stderr, flush=True)
    return Rung(steps, name, found, factor)


def page(report: dict[str, Any], rungs: Sequence[Rung]) -> str:
    """The report in Markdown."""
    one = rungs[0].found
    held, shuffled = (one.distances[side] for side in (HELD_OUT, SHUFFLED))
    head = ("steps, schedule", "Fréchet distance", "ratio", "±", "real-time factor")
    return "\n\n".join([
        heading("Ladders", report),
        f"{one.songs} songs a side, {one.clips} clips; held-out music {held:.3g}, shuffled in "
        f"50 ms pieces {shuffled:.3g}.",
        table(head, [rung.row for rung in rungs]),
    ]) + "\n"  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = bundle_options("ladders", __doc__)
    shaped.add_argument("--data", type=Path, required=True, help="prepared folder")
    shaped.add_argument("--split", choices=("valid", "all"), default="valid")
    shaped.add_argument("--out", type=Path, default=Path("runs/ladders"))
    shaped.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    shaped.add_argument("--schedules", nargs="+", choices=SCHEDULES, default=list(SCHEDULES))
    shaped.add_argument("--guidance", type=float, default=0.0, help="default: the bundle's")
    shaped.add_argument("--songs", type=int, default=24, help="a side")
    shaped.add_argument("--within", type=float, default=1e6, metavar="MINUTES",
                        help="of the clock: no ladder is begun after that")  # fmt: skip
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or the error's code."""
    return answered("ladders", lambda: _report(parser().parse_args(argv)))


def _report(options: argparse.Namespace) -> int:
    bundle, backend = opened(options)
    player = Player(bundle, backend)
    material = held_out(
        options.data, options.split, options.songs, PROMPT_S, TRUTH_S, player.rate_hz
    )
    until_s = monotonic() + 60 * options.within
    anchors = listening.anchors(material.reference, material.prompted, player.rate_hz)
    rungs: list[Rung] = []
    for steps, name in product(options.steps, options.schedules):
        if rungs and monotonic() > until_s:
            print(f"{steps} steps, {name}: not run", file=sys.stderr, flush=True)
            continue
        rungs.append(measure(player, material, anchors, steps, name, options.guidance))
    report = {
        "benchmark": "ladders",
        "revision": machine.revision(),
        "bundle": {"name": bundle.manifest.name, "hash": bundle.hash},
        "backend": backend.name,
        "ladders": plain(rungs),
    }
    publish(options.out, "ladders", report, page(report, rungs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
