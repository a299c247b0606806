"""`python -m bench.lookback`: what a pass costs as the past that it looks back on grows.

The shipped networks with rings of other lengths (`bench.rechunk`): the same weights, so only time
is asked for, not music. Ticks are taken by turns, one of each length, so that whatever else the
machine does falls on all of them. Rings are full from the beginning: noise was committed to them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.command import answered, bundle_options
from bench.markdown import Row, heading, table
from bench.rechunk import rechunked
from bench.report import plain, publish
from bench.timing import Tail
from engine.backends import open_backend
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Generator

SECONDS = (4.0, 6.4, 60.0)
TICKS = 100
WARM_TICKS = 3
HEAD = ("look back, s", "chunks", "passes p50, ms", "p99, ms", "of the shortest", "tick p50, ms")


def looking_back(bundle: Bundle, seconds: float, folder: Path) -> Bundle:
    """The bundle where it looks back as far, else one made anew in the folder."""
    manifest = bundle.manifest
    if round(seconds / manifest.chunk_s) == manifest.context.chunks:
        return bundle
    return rechunked(bundle, manifest.chunk_frames[0], folder / f"{seconds:g}", seconds)


def filled(bundle: Bundle, backend: str, threads: int) -> Generator:
    """A generator whose rings hold noise in every slot."""
    generator = Generator(bundle, open_backend(backend, bundle, threads=threads))
    shape = (bundle.manifest.context.chunks, generator.chunk_frames, bundle.manifest.latent.dim)
    past = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    generator.resume(past, shape[0])
    return generator


def measured(generators: Sequence[Generator], ticks: int) -> list[dict[str, Any]]:
    """Of each: chunks and seconds of its past, milliseconds of its passes and of whole ticks."""
    controls = Controls(generators[0].bundle.manifest.controls).snapshot()
    passes_ms: list[list[float]] = [[] for _ in generators]
    ticks_ms: list[list[float]] = [[] for _ in generators]
    for turn in range(WARM_TICKS + ticks):
        for number, generator in enumerate(generators):
            stage_s = generator.tick(controls).stage_s
            generator.rest()
            if turn >= WARM_TICKS:
                passes_ms[number].append(1e3 * stage_s["passes"])
                ticks_ms[number].append(1e3 * sum(stage_s.values()))
    return [
        {
            "chunks": one.bundle.manifest.context.chunks,
            "seconds": one.bundle.manifest.context.chunks * one.chunk_s,
            "passes_ms": Tail.of(passes),
            "tick_ms": Tail.of(whole),
        }
        for one, passes, whole in zip(generators, passes_ms, ticks_ms, strict=True)
    ]


def render(report: dict[str, Any]) -> str:
    """The page."""
    least = report["lengths"][0]["passes_ms"]["p50"]
    rows: list[Row] = [
        (one["seconds"], one["chunks"], one["passes_ms"]["p50"], one["passes_ms"]["p99"],
         one["passes_ms"]["p50"] / least, one["tick_ms"]["p50"])
        for one in report["lengths"]
    ]  # fmt: skip
    return "\n".join([
        heading("A longer past", report),
        "", f"{report['ticks']} ticks of each, by turns, one stream.", "", table(HEAD, rows), "",
    ])  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """0 where it was measured, else the exit code of the error."""
    parser = bundle_options("lookback", (__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=SECONDS, help="of the past")
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/lookback"), help="where the report goes"
    )
    options = parser.parse_args(argv)

    def work() -> int:
        bundle = Bundle.open(options.bundle)
        with tempfile.TemporaryDirectory() as place:
            made = []
            for seconds in sorted(options.seconds):
                print(f"a past of {seconds:g} s", file=sys.stderr, flush=True)
                made.append(looking_back(bundle, seconds, Path(place)))
            generators = [filled(one, options.backend, options.threads) for one in made]
            lengths = measured(generators, options.ticks)
        report = plain({
            "benchmark": "lookback", "revision": machine.revision(),
            "machine": machine.describe(), "backend": options.backend, "ticks": options.ticks,
            "bundle": {"name": bundle.manifest.name, "hash": bundle.hash}, "lengths": lengths,
        })  # fmt: skip
        publish(options.out, "lookback", report, render(report))
        return 0

    return answered("lookback", work)


if __name__ == "__main__":
    sys.exit(main())
