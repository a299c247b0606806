"""`perpetuo bench roofline`: how near is a tick to what this machine can do?

Operations and bytes of every run of a graph in a tick are counted (bench.opcount); the machine's
ceilings are measured in the same process, with as many threads: matrix products of floats and of
bytes in the runtime that plays, and a copy of as many bytes as the largest run moves. No stage can
be quicker than the larger of operations / product and bytes / copy; the fraction reached is that
floor over the time taken. Where it is small, time goes into operators too small to fill the
machine.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench import machine
from bench.ceilings import byte_product_per_s, copy_bytes_per_s, product_per_s
from bench.latency import Subject
from bench.opcount import Count, count, load_onnx
from bench.report import plain, to_json
from bench.timing import Tail
from bench.witness import STAGES, Shapes, Tick, Witness, watched_tick
from engine import ranges
from engine.backends import on_processor
from engine.backends.ort import file_of
from engine.bundle import default_bundle_path
from engine.choices import precision_of
from engine.cli import Parser
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator


def main(argv: Sequence[str]) -> int:
    """Print the table, and with --json the report as the last line."""
    options = parser().parse_args(argv)
    report = measure(options)
    print(render(report))
    if options.json:
        print(to_json(report))
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(
        prog="perpetuo bench roofline", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    shaped.add_argument("--seconds", type=ranges.seconds, default=20.0, help="of music (20)")
    shaped.add_argument("--json", action="store_true", help="one JSON object as the last line")
    shaped.add_argument("--bundle", type=Path, default=default_bundle_path())
    shaped.add_argument("--threads", type=int, default=1, help="of the backend (1)")
    return shaped


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report as plain values; UsageError where there is nothing to count or compare."""
    if options.threads < 1:
        raise UsageError(f"--threads is {options.threads}, at least 1 is needed")
    load_onnx()
    options.backend = "ort"
    subject = Subject.of(options)
    witness = Witness(on_processor(subject.bundle, threads=subject.threads))
    ticks = _ticks(subject, witness, options.seconds)
    counts = _counts(subject, ticks, int8=precision_of(witness.name) == "int8")
    largest = max(done.bytes for done in counts.values())
    ceilings = {
        "product_per_s": product_per_s(subject.threads),
        "byte_product_per_s": byte_product_per_s(subject.threads),
        "copy_bytes_per_s": copy_bytes_per_s(round(largest), subject.threads),
        "copied_mb": largest / 1e6,
    }
    stages, tick = _stages(ticks, counts, ceilings)
    return plain({
        "benchmark": "roofline",
        "machine": machine.describe(),
        "versions": machine.versions(),
        "revision": machine.revision(),
        "bundle": {"name": subject.bundle.manifest.name, "hash": subject.bundle.hash},
        "threads": subject.threads,
        "ceilings": ceilings,
        "stages": stages,
        "tick": tick,
    })  # type: ignore[no-any-return]  # fmt: skip


def _ticks(subject: Subject, witness: Witness, seconds: float) -> list[Tick]:
    """The ticks of a stream from nothing, without the first, which is cold."""
    generator = Generator(subject.bundle, witness)
    controls = Controls(subject.bundle.manifest.controls)
    ticks = []
    length = 1 + max(1, int(np.ceil(seconds / generator.chunk_s)))
    for _ in tqdm(range(length), unit="tick", disable=None, leave=False):
        ticks.append(watched_tick(generator, witness, controls.snapshot()))
    return ticks[1:]


def _counts(subject: Subject, ticks: Sequence[Tick], int8: bool) -> dict[tuple[str, Shapes], Count]:
    """Every graph at every shape it was run at, in the form that was run."""
    seen = {(call.graph, call.shapes) for runs, _ in ticks for calls in runs.values()
            for call in calls}  # fmt: skip
    found = {}
    for graph, shapes in seen:
        path = subject.bundle.file(file_of(subject.bundle.manifest.graphs[graph], int8))
        found[graph, shapes] = count(path, {n: np.zeros(size, kind) for n, size, kind in shapes})
    return found


def stage(
    runs: Sequence[Count], took_s: Sequence[float], graph_s: Sequence[float],
    ceilings: Mapping[str, float],
) -> dict[str, Any]:  # fmt: skip
    """The runs of one stage (or of a whole tick) against the times of many ticks, one each."""
    operators: Counter[str] = Counter()
    for run in runs:
        operators.update(run.operations)
    work_s = [_work_s(run, ceilings) for run in runs]
    move_s = [run.bytes / ceilings["copy_bytes_per_s"] for run in runs]
    floor_ms = 1e3 * sum(map(max, work_s, move_s))
    took_ms = Tail.of([1e3 * seconds for seconds in took_s])
    return {
        "runs": len(runs),
        "operations": sum(operators.values()),
        "operators": dict(operators.most_common(6)),
        "bytes": sum(run.bytes for run in runs),
        "between_bytes": sum(run.between_bytes for run in runs),
        "work_ms": 1e3 * sum(work_s),
        "move_ms": 1e3 * sum(move_s),
        "floor_ms": floor_ms,
        "best_ms": 1e3 * min(took_s),
        "took_ms": took_ms,
        "reached": floor_ms / took_ms.p50,
        "outside": 1.0 - sum(graph_s) / sum(took_s),
    }


def _work_s(run: Count, ceilings: Mapping[str, float]) -> float:
    """What it computes, at the ceilings of products of floats and of bytes."""
    of_bytes = run.operations.get("MatMulInteger", 0.0)
    return (run.total - of_bytes) / ceilings["product_per_s"] + (
        of_bytes / ceilings["byte_product_per_s"]
    )


def _stages(
    ticks: Sequence[Tick], counts: Mapping[tuple[str, Shapes], Count], ceilings: Mapping[str, float]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every stage that runs a graph, and the tick: the runs of the last tick, the times of all."""

    def of(*names: str) -> dict[str, Any]:
        runs = [call for name in names for call in ticks[-1][0][name]]
        took_s = [sum(spent[name] for name in names) for _, spent in ticks]
        graph_s = [
            sum(call.seconds for name in names for call in calls[name]) for calls, _ in ticks
        ]
        return stage([counts[run.graph, run.shapes] for run in runs], took_s, graph_s, ceilings)

    return {name: of(name) for name in STAGES if ticks[-1][0][name]}, of(*STAGES)


def render(report: Mapping[str, Any]) -> str:
    """The table."""
    host, top, bundle = report["machine"], report["ceilings"], report["bundle"]
    head = [
        f"{host['processor']}, {host['cores']} cores, {report['threads']} threads, "
        f"revision {report['revision']}, bundle {bundle['name']} {bundle['hash'][:12]}",
        f"ceilings: matrix product {top['product_per_s'] / 1e9:.1f} Gop/s, "
        f"of bytes {top['byte_product_per_s'] / 1e9:.1f} Gop/s, "
        f"copy {top['copy_bytes_per_s'] / 1e9:.1f} GB/s (at {top['copied_mb']:.1f} MB)",
        "",
        f"{'':<8}{'runs':>5}{'Mop':>9}{'MB':>8}{'op/B':>6}{'between':>9}"
        + "".join(f"{name:>9}" for name in ("work", "move", "floor", "best ms", "p50 ms", "p99 ms"))
        + f"{'reached':>9}",
    ]
    lines = [_line(name, part) for name, part in report["stages"].items()]
    shares = [_shares(name, part) for name, part in report["stages"].items()]
    return "\n".join([*head, *lines, _line("tick", report["tick"]), "", *shares])


def _line(name: str, part: Mapping[str, Any]) -> str:
    took, moved = part["took_ms"], part["bytes"]
    times = (*(part[key] for key in ("work_ms", "move_ms", "floor_ms", "best_ms")),
             took["p50"], took["p99"])  # fmt: skip
    return (
        f"{name:<8}{part['runs']:>5}{part['operations'] / 1e6:>9.1f}{moved / 1e6:>8.1f}"
        f"{part['operations'] / moved:>6.1f}{part['between_bytes'] / 1e6:>9.1f}"
        + "".join(f"{value:>9.3f}" for value in times)
        + f"{100 * part['reached']:>8.1f}%"
    )


def _shares(name: str, part: Mapping[str, Any]) -> str:
    whole = part["operations"]
    kinds = ", ".join(f"{kind} {100 * n / whole:.1f} %" for kind, n in part["operators"].items())
    return f"{name}: {kinds}; {100 * part['outside']:.1f} % of the time outside the graphs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
