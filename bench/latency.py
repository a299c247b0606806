"""`perpetuo bench`: does the engine keep time on this machine, and by how much?

Four parts: ticks as fast as they go (stages, real-time factor, lateness against the intended
time), first audio in fresh processes, the engine in real time with a sink as a sound device is one,
and `perpetuo serve` in real time with a listener on loopback. --load keeps the machine busy
beside all of it; --chunks 10000 --load 2 is how deadline misses under load are counted.

  perpetuo bench compare A B   two saved runs: is the second worse?
  perpetuo bench control       from a control to its sound: a native client, and the page
  perpetuo bench roofline      the tick beside what the machine can do
  perpetuo bench capacity      how many streams it plays at once
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import history, machine
from bench.binding import Cost, play_ring
from bench.denormals import flushed
from bench.latency_text import render
from bench.live import measure_live
from bench.load import busy, busy_with
from bench.page import page
from bench.report import plain, to_json, write_json, write_text
from bench.sink import measure_sink
from bench.ticking import GraphClock, Ticks, run_ticks
from bench.timeline import watch_ticks
from bench.timing import Tail, paced_lateness
from bench.verdict import latency_checks, passed
from engine import ranges
from engine.backends import BACKENDS, open_backend
from engine.backends.standin import bundle as standin_bundle
from engine.bundle import Bundle, default_bundle_path
from engine.cli import Parser
from engine.controls import Controls
from engine.errors import PerpetuoError, UsageError
from engine.generator import Generator

LIVE_S = 10.0
PROCESSES = 3
WORDS = ("compare", "control", "roofline", "capacity")
"""Benchmarks of their own, imported when they are asked for."""

RINGS_CHUNKS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Subject:
    """What is measured: a bundle on a backend."""

    bundle: Bundle
    backend: str
    threads: int

    @classmethod
    def of(cls, options: argparse.Namespace) -> Subject:
        """The stand-in brings its own bundle."""
        if options.backend == "standin":
            return cls(standin_bundle(), "standin", options.threads)
        return cls(Bundle.open(options.bundle), options.backend, options.threads)

    def arguments(self) -> list[str]:
        """The same subject as options of `perpetuo serve`."""
        where = [] if self.bundle.path is None else ["--bundle", str(self.bundle.path)]
        return ["--backend", self.backend, "--threads", str(self.threads), *where]


def main(argv: Sequence[str]) -> int:
    """Print the report; 0 where every budget is kept, 1 where not, else the error's code."""
    try:
        if argv and argv[0] in WORDS:
            return int(importlib.import_module(f"bench.{argv[0]}").main(argv[1:]))
        return _bench(parser().parse_args(argv))
    except PerpetuoError as error:
        print(f"perpetuo bench: {error}", file=sys.stderr)
        return error.exit_code


def _bench(options: argparse.Namespace) -> int:
    report = measure(options)
    print(render(report))
    if options.save:
        write_json(options.save, report)
    if options.html:
        write_text(options.html, page(report))
    if options.history:
        history.append(options.history, report)
    if options.json:
        print(to_json(report))
    return 0 if report["verdict"]["passed"] else 1


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(
        prog="perpetuo bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    length = shaped.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=ranges.seconds, default=60.0, help="of music (60)")
    length.add_argument("--chunks", type=int, help="instead: so many ticks, as if --offline")
    shaped.add_argument("--load", type=int, default=0, help="busy processes beside it (0)")
    shaped.add_argument("--json", action="store_true", help="one JSON object as the last line")
    shaped.add_argument("--save", type=Path, metavar="FILE", help="the report as JSON")
    shaped.add_argument("--html", type=Path, metavar="FILE", help="the report as a page")
    shaped.add_argument(
        "--history", type=Path, metavar="FILE", help="a line of figures behind those of other runs"
    )
    shaped.add_argument("--bundle", type=Path, default=default_bundle_path())
    shaped.add_argument("--backend", choices=BACKENDS, default="auto")
    shaped.add_argument("--threads", type=int, default=1, help="of the backend (1)")
    pace = shaped.add_mutually_exclusive_group()
    pace.add_argument(
        "--paced", action="store_true", help=f"play in real time as long, not {LIVE_S:g} s each"
    )
    pace.add_argument("--offline", action="store_true", help="play nothing in real time")
    return shaped


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report as plain values, and its verdict."""
    for name, least in (("threads", 1), ("load", 0), ("chunks", 2)):
        if (count := getattr(options, name)) is not None and count < least:
            raise UsageError(f"--{name} is {count}, at least {least} is needed")
    subject = Subject.of(options)
    if options.chunks is not None:
        chunk_s = subject.bundle.manifest.chunk_s
        options.seconds, options.offline = (options.chunks - 0.5) * chunk_s, True
    with busy(options.load):
        report = plain(_measured(subject, options))
    found = latency_checks(report)
    report["verdict"] = {"passed": passed(found), "checks": plain(found)}
    return report  # type: ignore[no-any-return]


def _measured(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    jitter_ms = machine.timer_jitter_ms()
    clock, warm, ticks, memory = _tick(subject, options.seconds)
    ladder = subject.bundle.manifest.ladder
    report = {
        "benchmark": "latency",
        "load": options.load,
        "busy_with": busy_with() if options.load else None,
        **_identity(subject, clock),
        **_figures(ticks),
        "rings": [
            play_ring(_costs(ticks), ticks.chunk_s, ladder, n * ticks.chunk_s) for n in RINGS_CHUNKS
        ],
        "timeline": watch_ticks(subject.bundle, clock.backend),
        "denormals_flushed": flushed(),
        "first_audio": {"warm_s": warm.first_audio_s, "process_s": first_audio_s(subject)},
        "memory": memory,
        "timer_jitter_ms": jitter_ms,
    }
    if not options.offline:
        live_s = options.seconds if options.paced else min(LIVE_S, options.seconds)
        sink = measure_sink(subject.bundle, clock.backend, live_s)
        live = measure_live(subject.arguments(), live_s)
        report |= {"sink": sink, "live": live}
        report["deadline_misses"] += sink.deadline_misses + live.deadline_misses
    return report


def _tick(subject: Subject, seconds: float) -> tuple[GraphClock, Ticks, Ticks, dict[str, float]]:
    """A cold stream that is measured, then a short warm one for its first audio."""
    clock = GraphClock(open_backend(subject.backend, subject.bundle, threads=subject.threads))
    controls = Controls(subject.bundle.manifest.controls)
    start_mb = machine.memory_mb()
    with tqdm(total=round(seconds), unit="s of music", disable=None, leave=False) as bar:
        ticks = run_ticks(Generator(subject.bundle, clock), clock, controls, seconds, bar.update)
    memory = {
        "start_mb": start_mb,
        "end_mb": machine.memory_mb(),
        "peak_mb": machine.peak_memory_mb(),
    }
    warm = run_ticks(Generator(subject.bundle, clock), clock, controls, 0.0)
    return clock, warm, ticks, memory


def _identity(subject: Subject, clock: GraphClock) -> dict[str, Any]:
    bundle, manifest = subject.bundle, subject.bundle.manifest
    size = sum(spec.bytes for spec in manifest.files.values())
    return {
        "machine": machine.describe(),
        "versions": machine.versions(),
        "revision": machine.revision(),
        "backend": clock.name,
        "providers": clock.providers(),
        "threads": subject.threads,
        "bundle": {"name": manifest.name, "hash": bundle.hash, "megabytes": size / 1e6},
        "ladder": {"steps": manifest.ladder.steps, "depth": manifest.ladder.depth},
        "chunk_s": manifest.chunk_s,
    }


def _figures(ticks: Ticks) -> dict[str, Any]:
    warm_s = ticks.costs_s[1:]
    lateness = paced_lateness(warm_s, ticks.chunk_s)
    return {
        "chunks": len(ticks.costs_s),
        "real_time_factor": ticks.real_time_factor,
        "cold_first_chunk_s": ticks.first_audio_s,
        "tick_ms": _tail_ms(warm_s),
        "tick_share": Tail.of([cost_s / ticks.chunk_s for cost_s in warm_s]),
        "stages_ms": {name: _tail_ms(costs[1:]) for name, costs in ticks.stages_s.items()},
        "deadline_misses": lateness.misses,
        "longest_miss_run": lateness.longest_run,
        "lateness_ms": _tail_ms(lateness.late_s),
        "lateness_histogram_chunks": lateness.histogram(),
        "overhead": {"fraction": ticks.overhead_share},
        "control_delay_chunks": Tail.of(ticks.control_delay_ticks),
    }


def _costs(ticks: Ticks) -> list[Cost]:
    """Of all warm ticks: their passes, and the rest."""
    both = zip(ticks.stages_s["passes"][1:], ticks.costs_s[1:], strict=True)
    return [Cost(passes_s, all_s - passes_s) for passes_s, all_s in both]


def _tail_ms(seconds: Sequence[float]) -> Tail:
    return Tail.of([1e3 * value for value in seconds])


def first_audio_s(subject: Subject) -> float:
    """From process start to the first block, the median of three fresh processes."""
    path = [] if subject.bundle.path is None else [str(subject.bundle.path)]
    own = [sys.executable, "-m", "bench.first_audio", subject.backend, str(subject.threads), *path]
    taken = []
    for _ in range(PROCESSES):
        started_s = time.monotonic()
        done = subprocess.run(own, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise UsageError(f"bench.first_audio failed: {done.stderr.strip().splitlines()[-1]}")
        taken.append(float(done.stdout) - started_s)
    return sorted(taken)[len(taken) // 2]
