"""`make gpu`: what this project does on a GPU, as one table, in under ten minutes.

From a checkout, with nothing to download: torch, and what else happens to be there (Triton for our
kernels, onnxruntime, TensorRT). The published sizes with random weights at 5, 10 and 20 steps, the
live bundle on every backend that loads, as many streams as keep time in one CUDA graph, launches
and host time of a tick, and the kernels' fraction of the copy bandwidth measured beside them.

Exit code 2 where there is no GPU, 1 where a part failed (the others are there all the same).
--device cpu --tiny goes through all of it in a minute, which says nothing about speed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from engine.errors import PerpetuoError, UsageError

MINUTES = 8.0


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, and with --json the report as the last line."""
    options = parser().parse_args(argv)
    try:
        report = measure(options)
    except PerpetuoError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        from bench.report import plain, to_json

        print(to_json(plain(report)))
    return 1 if report["failed"] else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shaped.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    shaped.add_argument("--tiny", action="store_true", help="small sizes, few repeats: a test")
    shaped.add_argument("--minutes", type=float, default=MINUTES, help=f"at most ({MINUTES:g})")
    shaped.add_argument("--bundle", type=Path, help="default: the shipped one")
    shaped.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return shaped


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All parts, printed one after the other; UsageError without torch or without a GPU."""
    where = device(options.device)
    from bench import gpu_kernels, gpu_live, gpu_paper, gpu_text, machine
    from bench.gpu_clock import Clock, described

    if not options.minutes > 0:
        raise UsageError(f"--minutes is {options.minutes:g}, more than 0 is needed")
    clock = Clock(where, perf_counter() + 60.0 * options.minutes)
    bundle = gpu_live.shipped(options.bundle)
    tiny = options.tiny
    names = ("ort", "torch") if tiny else gpu_live.BACKENDS
    report: dict[str, Any] = {"benchmark": "gpu", "about": described(where), "tiny": tiny,
                              "revision": machine.revision(), "failed": {}}  # fmt: skip
    shown(gpu_text.head(report["about"], report["revision"], bundle.hash[:12]))
    if tiny:
        shown("tiny sizes: these figures say nothing about speed")
    parts: dict[str, tuple[Callable[[], Any], Callable[[Any], list[str]]]] = {
        "kernels": (
            lambda: gpu_kernels.measure(clock, gpu_kernels.TINY if tiny else None),
            gpu_text.kernels,
        ),
        "paper": (lambda: gpu_paper.measure(clock, tiny=tiny), gpu_text.paper),
        "one_stream": (
            lambda: gpu_live.one_stream(bundle, clock, 2 if tiny else 500, names, said),
            gpu_text.one_stream,
        ),
        "many_streams": (
            lambda: gpu_live.many_streams(
                bundle, clock, said, most=4 if tiny else gpu_live.MOST_STREAMS,
                ticks=2 if tiny else gpu_live.TICKS,
            ),
            gpu_text.many_streams,
        ),
    }  # fmt: skip
    for name, (work, text) in parts.items():
        report[name] = part(name, work, text, report["failed"])
    return report


def part(
    name: str, work: Callable[[], Any], text: Callable[[Any], list[str]], failed: dict[str, str]
) -> Any:
    """One part, printed; one that fails is told of and does not cost the others."""
    try:
        rows = work()
    except Exception as error:  # whatever a driver, a compiler or an allocator raises
        failed[name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        shown("", f"{name}: failed: {failed[name]}")
        return None
    shown(*text(rows))
    return rows


def device(kind: str) -> Any:
    """The torch device; UsageError that says what is missing."""
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            f"torch cannot be loaded ({error}): name a Python that has it, GPU_PYTHON=…"
        ) from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "torch sees no GPU here: run this where there is one (--device cpu --tiny tries the "
            "program without)"
        )
    return torch.device(kind)


def shown(*lines: str) -> None:
    """A table."""
    print("\n".join(lines), flush=True)


def said(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
