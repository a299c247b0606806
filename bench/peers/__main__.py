"""`make peers`: what a user would pick instead, beside ours, on this machine, in one run.

Music: our live bundle, the published sizes of MeLoDy, MusicGen-small. Decoders alone: ours, the
published one, EnCodec at 24 and 32 kHz, DAC at 44.1 kHz, RAVE where there is a Python that has it.
Weights of the peers are drawn at random in the published sizes; nothing is downloaded. Each
contender runs in a process of its own, one after the other; docs/peers.md says how each figure
comes about.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from tqdm import tqdm

from bench import machine
from bench.peers.child import CONTENDERS
from bench.peers.stopwatch import Measured, Task
from bench.peers.table import favours, figures, ratios, render
from bench.report import plain, to_json
from engine import ranges
from engine.bundle import default_bundle_path
from engine.cli import Parser
from engine.errors import PerpetuoError, UsageError

HOUSE = Path(__file__).resolve().parents[2]
LEAST_S, MOST_S = 0.5, 30.0
"""Of audio in a whole call; 30 s is the most that MusicGen was made for."""
PATIENCE = 0.4
"""The part of the time limit after which a contender repeats nothing any more."""


@dataclass
class Found:
    """Rows of those that ran, and a line for each of those that did not."""

    rows: list[Measured] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 where nothing was measured, else 0, or the error's code."""
    try:
        options = parser().parse_args(argv)
        check(options)
        report = measure(options)
        print(render(report))
        if options.json:
            options.json.write_text(to_json(report, indent=2) + "\n", encoding="utf-8")
    except PerpetuoError as error:
        print(f"peers: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"peers: {error}", file=sys.stderr)
        return UsageError.exit_code
    return 0 if report["rows"] else 1


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(
        prog="python -m bench.peers", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    shaped.add_argument("--seconds", type=ranges.number(LEAST_S, MOST_S, "seconds"), default=2.0,
                        help="of audio a call (2)")  # fmt: skip
    shaped.add_argument("--threads", type=ranges.whole(1, 1024), help="of each (cores; ours: 1)")
    shaped.add_argument(
        "--limit", type=ranges.seconds, default=900.0, help="seconds for each (900)"
    )
    shaped.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME",
                        help="of: " + ", ".join(CONTENDERS))  # fmt: skip
    shaped.add_argument("--json", type=Path, metavar="FILE", help="the report, also to FILE")
    shaped.add_argument("--bundle", type=Path, default=default_bundle_path())
    shaped.add_argument("--rave-python", type=Path, default=Path(sys.executable), metavar="FILE",
                        help="a Python that has acids-rave")  # fmt: skip
    return shaped


def check(options: argparse.Namespace) -> None:
    """What would only come out after minutes. UsageError for what cannot be done."""
    if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise UsageError(f"--json {options.json}: no file in a folder that exists")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report as plain values."""
    found = Found()
    names = options.only or list(CONTENDERS)
    for name in tqdm(names, unit="contender", disable=None, leave=False):
        began_s = monotonic()
        try:
            found.rows += run(name, options)
        except PerpetuoError as error:
            found.failures[name] = str(error)
        said = f"{name}: {found.failures.get(name, 'measured')}, {monotonic() - began_s:.0f} s"
        print(said, file=sys.stderr, flush=True)
    rows = [figures(row) for row in found.rows]
    for row, times in zip(rows, ratios(rows), strict=True):
        row["ratio"] = times
    return plain({
        "benchmark": "peers",
        "machine": machine.describe(),
        "versions": {**machine.versions(), **_versions("torch", "transformers")},
        "revision": machine.revision(),
        "seconds": options.seconds,
        "rows": rows,
        "failures": found.failures,
        "favours": favours(rows),
    })  # type: ignore[no-any-return]  # fmt: skip


def run(name: str, options: argparse.Namespace) -> list[Measured]:
    """One contender in its own process; UsageError with the reason where it gives no rows."""
    contender = CONTENDERS[name]
    threads = options.threads or contender.threads or int(machine.describe()["cores"])
    task = Task(options.seconds, threads, PATIENCE * options.limit, options.bundle.absolute())
    python = options.rave_python if contender.own_python else sys.executable
    command = [str(python), "-m", "bench.peers.child", name, json.dumps(asdict(task), default=str)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=options.limit,
            env=surroundings(threads), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"nothing within {options.limit:g} s; raise --limit, or lower --seconds"
        ) from None
    except OSError as error:
        raise UsageError(f"it did not start: {error}") from error
    return _rows(done)


def _rows(done: subprocess.CompletedProcess[str]) -> list[Measured]:
    if done.returncode < 0:
        raise UsageError(f"ended by signal {-done.returncode} (9 is how memory runs out)")
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(said[-1][:300])
    return [Measured(**row) for row in json.loads(done.stdout.strip().splitlines()[-1])]


def surroundings(threads: int) -> Mapping[str, str]:
    """The environment of a contender: threads, our packages, and no way to a model hub."""
    paths = [str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
