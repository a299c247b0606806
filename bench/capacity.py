"""`perpetuo bench capacity`: how many streams does this machine play at once?

Streams share one set of graphs and a crew of threads, as in `perpetuo serve --sessions`. All their
chunks fall due together, which is the worst case. Lateness counts from the intended time, and a
number of streams is kept if at most one block in a thousand is late (p99.9 <= 0). The most that
are kept are found by bisection, beside a single stream in the same run: what that one takes is the
ceiling. The work of the feed (packets, sockets) is not in it: `perpetuo bench` measures that.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from tqdm import tqdm

from bench import machine
from bench.crowd import Crowd, play_crowd
from bench.latency import Subject
from bench.report import plain, to_json
from engine import ranges
from engine.backends import BACKENDS, open_backend
from engine.bundle import default_bundle_path
from engine.choices import precision_of
from engine.cli import Parser
from engine.commands.stream import SWITCH_S
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.pool import workers
from engine.session import Backend
from engine.slots import shared_slots

MUST, AIM = 6, 20
"""Streams on two processor cores, with the shipped bundle."""

MOST = 1000
SHARED = 2.0
"""Rows in one run cost at best this much less than one after the other: how far above the ceiling
of a single stream is tried."""


def main(argv: Sequence[str]) -> int:
    """Print the table; 0 where as many streams play as must, else 1."""
    options = parser().parse_args(argv)
    sys.setswitchinterval(SWITCH_S)
    report = measure(options)
    print(render(report))
    if options.json:
        print(to_json(report))
    return 0 if report["streams"] >= MUST else 1


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(
        prog="perpetuo bench capacity", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    shaped.add_argument("--seconds", type=ranges.seconds, default=20.0, help="each try (20)")
    shaped.add_argument("--most", type=int, default=MOST, help="streams that are tried (1000)")
    shaped.add_argument("--workers", type=int, help="threads that tick (cores / --threads)")
    shaped.add_argument("--batch", type=int, default=1, help="streams in one run of a pass (1)")
    shaped.add_argument("--steps", type=int, help="passes from noise to music")
    shaped.add_argument("--guidance", type=float, help="1: a row a pass instead of two")
    shaped.add_argument("--json", action="store_true", help="one JSON object as the last line")
    shaped.add_argument("--bundle", type=Path, default=default_bundle_path())
    shaped.add_argument("--backend", choices=BACKENDS, default="auto")
    shaped.add_argument("--threads", type=int, default=1, help="of one pass (1)")
    return shaped


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report as plain values; UsageError for options that make no sense."""
    for name in ("threads", "workers", "most", "batch"):
        if (count := getattr(options, name)) is not None and count < 1:
            raise UsageError(f"--{name} is {count}, at least 1 is needed")
    options.workers = options.workers or workers(options.threads)
    subject = Subject.of(options)
    backend = open_backend(subject.backend, subject.bundle, threads=subject.threads)
    if options.batch > 1 and precision_of(backend.name) == "int8":
        raise UsageError(
            f"--batch is {options.batch}, on {backend.name} every stream takes passes of its own: "
            "--backend ort"
        )
    tries, rounds = _tries(subject, backend, options)
    single, found = tries[1], most_kept(tries)
    busy_s = options.workers * subject.bundle.manifest.chunk_s
    return plain({
        "benchmark": "capacity",
        "machine": machine.describe(),
        "versions": machine.versions(),
        "revision": machine.revision(),
        "backend": backend.name,
        "providers": backend.providers(),
        "threads": subject.threads,
        "workers": options.workers,
        "batch": options.batch,
        "bundle": {"name": subject.bundle.manifest.name, "hash": subject.bundle.hash},
        "chunk_s": subject.bundle.manifest.chunk_s,
        "timer_jitter_ms": machine.timer_jitter_ms(),
        "streams": found,
        "ceiling": 1e3 * busy_s / single.tick_ms.p50,
        "used": found * single.tick_ms.p50 / (1e3 * busy_s),
        "stream_mb": memory_per_stream(tries),
        "tries": [tries[streams] for streams in rounds],
    })  # type: ignore[no-any-return]  # fmt: skip


def _tries(
    subject: Subject, backend: Backend, options: argparse.Namespace
) -> tuple[dict[int, Crowd], list[int]]:
    """Every number of streams that was tried, and in which order."""
    controls = Controls(subject.bundle.manifest.controls)
    if options.guidance is not None:
        controls.set("guidance", options.guidance)
    steps = subject.bundle.manifest.ladder.rounded(
        options.steps or subject.bundle.manifest.ladder.steps
    )
    tries: dict[int, Crowd] = {}
    bar = tqdm(unit="try", disable=None, leave=False)
    began_s = monotonic()

    def kept(streams: int) -> bool:
        bar.set_description(f"{streams} streams")
        rows = streams if options.batch > 1 else 1
        slots = shared_slots(subject.bundle, backend, rows)
        tries[streams] = play_crowd(
            lambda: Generator(subject.bundle, backend, slots=slots), controls.snapshot(), steps,
            streams=streams, threads=options.workers, seconds=options.seconds,
            memory_mb=machine.memory_mb, batch=options.batch,
        )  # fmt: skip
        bar.update()
        word = word_of(plain(tries[streams]))
        spent_s = monotonic() - began_s
        print(f"{spent_s:4.0f} s  {streams} streams: {word}", file=sys.stderr, flush=True)
        return tries[streams].kept

    with bar:
        kept(1)
        ceiling = options.workers * 1e3 * subject.bundle.manifest.chunk_s / tries[1].tick_ms.p50
        above = 1.0 if options.batch == 1 else SHARED
        bisect_most(kept, tries[1].kept, min(options.most, math.ceil(above * ceiling) + 1))
    return tries, list(tries)


def bisect_most(kept: Callable[[int], bool], one_kept: bool, most: int) -> int:
    """The largest number of streams up to `most` that is kept, if whatever is below it is, too."""
    low, high = (1, most + 1) if one_kept else (0, 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low


def most_kept(tries: Mapping[int, Crowd]) -> int:
    """The most streams that were kept, below the fewest that were not."""
    missed = min((n for n, one in tries.items() if not one.kept), default=MOST + 1)
    return max((n for n, one in tries.items() if one.kept and n < missed), default=0)


def memory_per_stream(tries: Mapping[int, Crowd]) -> float:
    """What one more stream takes, in MB; NaN where only one number was tried."""
    few, many = tries[min(tries)], tries[max(tries)]
    if few is many:
        return math.nan
    return (many.memory_mb - few.memory_mb) / (many.streams - few.streams)


def render(report: Mapping[str, Any]) -> str:
    """The report as a person reads it."""
    host, bundle = report["machine"], report["bundle"]
    memory = report["stream_mb"]
    single = next(one for one in report["tries"] if one["streams"] == 1)
    return "\n".join([
        f"{host['processor']}, {host['cores']} cores, revision {report['revision']}",
        f"bundle {bundle['name']} {bundle['hash'][:12]}, {report['backend']} on "
        f"{', '.join(report['providers'])}, {report['workers']} at work, "
        f"chunks of {report['chunk_s'] * 1e3:.0f} ms",
        "",
        f"{'':<8}{'':>8}{'tick ms':>26}{'late ms':>36}",
        f"{'streams':<8}{'blocks':>8}" + "".join(
            f"{name:>9}" for name in ("p50", "p99.9", "max", "p50", "p99", "p99.9", "max")
        ),
        *(_line(one) for one in sorted(report["tries"], key=lambda one: one["streams"])),
        "",
        f"this machine's timer is late by {report['timer_jitter_ms']['p999']:.2f} ms (p99.9)",
        f"a tick alone {single['tick_ms']['p50']:.1f} ms, so {report['ceiling']:.1f} streams if "
        "nothing were in each other's way",
        f"most concurrent streams {report['streams']} (must {MUST}, aim {AIM}, "
        f"{verdict_of(report['streams'])}), {report['batch']} in one run of a pass: "
        f"{100 * report['used']:.0f} % of that"
        + ("" if memory is None else f"; {memory:.1f} MB a stream"),
    ])  # fmt: skip


def verdict_of(streams: int) -> str:
    """In words."""
    return "aim met" if streams >= AIM else "kept" if streams >= MUST else "MISSED"


def _line(one: Mapping[str, Any]) -> str:
    tick, late = one["tick_ms"], one["late_ms"]
    times = (*(tick[p] for p in ("p50", "p999", "max")),
             *(late[p] for p in ("p50", "p99", "p999", "max")))  # fmt: skip
    return (
        f"{one['streams']:<8}{one['blocks']:>8}"
        + "".join(f"{value:>9.1f}" for value in times)
        + f"  {word_of(one)}"
    )


def word_of(one: Mapping[str, Any]) -> str:
    """What came of a try, given its plain values."""
    if one["given_up"]:
        return "given up"
    return "kept" if one["late_ms"]["p999"] <= 0 else f"{one['misses']} late"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
