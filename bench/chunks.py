"""`python -m bench.chunks`: the smallest chunk at which music survives, and what it buys.

The same held-out songs are continued with every size of chunk: the Fréchet distance between its
anchors, what is kept of the prompt, the joins between chunks; then the real-time factor of a
stream, and how long a control waits to be heard from `perpetuo serve`. A size that the bundle does
not list is exported from the same weights (`bench.rechunk`); whether it does stands in the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import listening, machine
from bench.command import answered, bundle_options
from bench.frechet import CONTINUATION, HELD_OUT, SHUFFLED, Comparison
from bench.listening import Sides
from bench.live import LiveRun, measure_live
from bench.markdown import Row, heading, table
from bench.material import HeldOut, held_out
from bench.playing import Player
from bench.report import plain, publish
from bench.ticking import GraphClock, run_ticks
from bench.timing import Tail
from engine.backends import open_backend
from engine.backends.standin import bundle as standin_bundle
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Generator

PROMPT_S, TRUTH_S = 8.0, 16.0
HEAD = (
    "chunk", "s", "in the bundle", "Fréchet distance", "ratio", "±", "tempo kept", "scale kept",
    "chroma", "joins: flux", "real-time factor", "tick p50, ms", "tick p99.9 / chunk",
    "control to sound p50, s", "p99, s", "underruns",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """What came of one size of chunk. `joins` are percentiles among all places, 50 is unheard."""

    frames: int
    chunk_s: float
    listed: bool
    found: Comparison
    kept: dict[str, float]
    joins: dict[str, float]
    real_time_factor: float
    tick_share: Tail
    live: LiveRun | None

    @property
    def row(self) -> Row:
        """Of the table."""
        f, tick, live = self.found, self.tick_share, self.live
        heard = (None,) * 3 if live is None else (
            live.control_to_sound_s.p50, live.control_to_sound_s.p99, float(live.underruns),
        )  # fmt: skip
        return (
            str(self.frames), self.chunk_s, "yes" if self.listed else "no",
            f.distances[CONTINUATION], f.ratio, f.ratio_error,
            self.kept["tempo_same"], self.kept["key_same"], self.kept["chroma_correlation"],
            self.joins["flux"], self.real_time_factor, 1e3 * tick.p50 * self.chunk_s, tick.p999,
            *heard,
        )  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A bundle whose default chunk is the size asked for, and how `perpetuo serve` opens it."""

    bundle: Bundle
    listed: bool
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, bundle: Bundle, frames: int, folder: Path) -> Subject:
        """Exported anew into `folder` where the bundle does not list that size."""
        if frames in bundle.manifest.chunk_frames:
            where = () if bundle.path is None else ("--bundle", str(bundle.path))
            return cls(bundle.at(frames), True, ("--chunk", str(frames), *where))
        from bench.rechunk import rechunked  # torch, where it is needed

        made = rechunked(bundle, frames, folder / str(frames))
        return cls(made, False, ("--bundle", str(made.path)))


def measure(
    subject: Subject, material: HeldOut, anchors: Sides, options: argparse.Namespace
) -> Size:
    """Continue every prompted song, then play and serve."""
    manifest = subject.bundle.manifest
    backend = open_backend(options.backend, subject.bundle, threads=options.threads)
    player, songs = Player(subject.bundle, backend), material.prompted
    continued = [player.play(song.prompt, TRUTH_S, seed) for seed, song in enumerate(songs)]
    kept, _ = listening.kept_table(songs, continued, player.rate_hz)
    seams = listening.seam_table(songs, continued, player.chunk_samples, player.rate_hz)
    clock = GraphClock(backend)
    ticks = run_ticks(
        Generator(subject.bundle, clock), clock, Controls(manifest.controls), options.seconds
    )
    served = ("--backend", options.backend, "--threads", str(options.threads), *subject.arguments)
    return Size(
        manifest.chunk_frames[0], manifest.chunk_s, subject.listed,
        anchors.beside(continued, player.rate_hz).comparison(),
        kept["continuation"], seams["chunk_joins"], ticks.real_time_factor,
        Tail.of([cost / ticks.chunk_s for cost in ticks.costs_s[1:]]),
        measure_live(served, options.live) if options.live > 0 else None,
    )  # fmt: skip


def page(report: dict[str, Any], sizes: Sequence[Size]) -> str:
    """The report in Markdown."""
    one = sizes[0].found
    held, shuffled = (one.distances[side] for side in (HELD_OUT, SHUFFLED))
    quotable = "" if one.enough_songs else " **Too few songs to quote.**"
    return "\n\n".join([
        heading("Sizes of chunks", report),
        f"{one.songs} songs a side, {one.clips} clips; held-out music {held:.3g}, shuffled in "
        f"50 ms pieces {shuffled:.3g}.{quotable}",
        table(HEAD, [size.row for size in sizes]),
    ]) + "\n"  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = bundle_options("chunks", __doc__)
    shaped.add_argument("--data", type=Path, required=True, help="prepared folder")
    shaped.add_argument("--split", choices=("valid", "all"), default="valid")
    shaped.add_argument("--sizes", type=int, nargs="+", default=[8, 16], help="frames (8 16)")
    shaped.add_argument("--songs", type=int, default=24, help="a side")
    shaped.add_argument("--seconds", type=float, default=40.0, help="of music for the ticks (40)")
    shaped.add_argument("--live", type=float, default=30.0, help="seconds of serving (30; 0: none)")
    shaped.add_argument("--out", type=Path, default=Path("runs/chunks"))
    return shaped


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report; 0, or the error's code."""
    return answered("chunks", lambda: _report(parser().parse_args(argv)))


def _report(options: argparse.Namespace) -> int:
    standin = options.backend == "standin"
    bundle = standin_bundle() if standin else Bundle.open(options.bundle)
    rate_hz = Player.rate_of(bundle)
    material = held_out(options.data, options.split, options.songs, PROMPT_S, TRUTH_S, rate_hz)
    anchors = listening.anchors(material.reference, material.prompted, rate_hz)
    sizes = []
    with tempfile.TemporaryDirectory(prefix="perpetuo-chunks-") as folder:
        for frames in options.sizes:
            print(f"chunks of {frames} frames", file=sys.stderr, flush=True)
            subject = Subject.of(bundle, frames, Path(folder))
            sizes.append(measure(subject, material, anchors, options))
    report = {
        "benchmark": "chunks",
        "revision": machine.revision(),
        "machine": machine.describe(),
        "bundle": {"name": bundle.manifest.name, "hash": bundle.hash},
        "backend": options.backend,
        "sizes": plain(sizes),
    }
    publish(options.out, "chunks", report, page(report, sizes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
