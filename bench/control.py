"""`perpetuo bench control`: how long from a control to its sound, by the stamps of the packets?

`perpetuo serve` plays in processes of its own. A listener on loopback waits until the engine knows
what its chunks take, then sets ideas and hands, one after the other, to the values that they have:
the music stays, the revision changes. Every packet carries the revisions that made it, so the time
from sending a control to the first packet that carries it is seen, not claimed; and so is whether
the answer's promise, the sample from which it is heard, lay in that packet. A packet of 100 ms is
sent when its first sample is due, so a hand waits for half of one and no more than one.

Then the page of the same server is used in a real Chromium, where there is one, for as long again:
from a key on its sliders to the packet, and to the sound behind the page's buffer and output.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import machine, page_control
from bench.hearing import Hearing
from bench.latency import Subject
from bench.latency_text import TAIL, tail_line
from bench.live import Serving, serving
from bench.report import plain, to_json, write_json
from bench.timing import Tail
from bench.turns import KINDS, turns
from bench.verdict import control_checks, passed, verdict_lines
from engine import ranges
from engine.backends import BACKENDS
from engine.bundle import default_bundle_path
from engine.cli import Parser
from engine.errors import UsageError


def main(argv: Sequence[str]) -> int:
    """Print the table; 0 where the budget of ideas is kept, else 1."""
    options = parser().parse_args(argv)
    report = measure(options)
    print("\n".join(render(report)))
    if options.save:
        write_json(options.save, report)
    if options.json:
        print(to_json(report))
    return 0 if report["verdict"]["passed"] else 1


def parser() -> argparse.ArgumentParser:
    """The options."""
    shaped = Parser(
        prog="perpetuo bench control", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    shaped.add_argument(
        "--seconds", type=ranges.seconds, default=60.0, help="of music, each half (60)"
    )
    shaped.add_argument("--save", type=Path, metavar="FILE", help="the report as JSON")
    shaped.add_argument("--json", action="store_true", help="one JSON object as the last line")
    shaped.add_argument("--bundle", type=Path, default=default_bundle_path())
    shaped.add_argument("--backend", choices=BACKENDS, default="auto")
    shaped.add_argument("--threads", type=int, default=1, help="of the backend (1)")
    shaped.add_argument("--steps", type=int, help="as of perpetuo serve")
    shaped.add_argument("--ring", type=float, help="as of perpetuo serve")
    shaped.add_argument("--margin", type=float, help="as of perpetuo serve")
    return shaped


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report as plain values; UsageError where too little was heard."""
    subject = Subject.of(options)
    extra = [(f"--{name}", getattr(options, name)) for name in ("steps", "ring", "margin")]
    more = [word for name, value in extra if value is not None for word in (name, str(value))]
    with serving([*subject.arguments(), *more]) as server:
        settled_s = server.settle()
        server.states = server.states[-1:]
        kinds = _ask_often(server, options.seconds)
        last = server.states[-1]
        server.feed.close()
        page = page_control.measure_page(server.port, options.seconds)
    if not all(one.control_to_sound_s for one in kinds.values()):
        raise UsageError(f"no control was heard within {options.seconds:g} s: give more --seconds")
    report = {
        "benchmark": "control",
        "machine": machine.describe(),
        "versions": machine.versions(),
        "revision": machine.revision(),
        "backend": subject.backend,
        "threads": subject.threads,
        "bundle": {"name": subject.bundle.manifest.name, "hash": subject.bundle.hash},
        "chunk_s": subject.bundle.manifest.chunk_s,
        "options": more,
        "seconds": options.seconds,
        "settled_s": settled_s,
        "lead_s": last["lead_ms"] / 1e3,
        "margin_s": last["margin_ms"] / 1e3,
        "least_spare_s": last["spare_ms"] / 1e3,
        "tick_s": last["tick_ms"] / 1e3,
        "deadline_misses": server.grown("deadline_misses"),
        "underruns": server.grown("underruns"),
        "control": {kind: _figures(heard) for kind, heard in kinds.items()},
        "page": page,
    }
    report = plain(report)
    found = control_checks(report)
    report["verdict"] = {"passed": passed(found), "checks": plain(found)}
    return report


def _ask_often(server: Serving, seconds: float) -> dict[str, Hearing]:
    """Controls one after the other for so long; what was heard of each kind."""
    kinds = {kind: Hearing() for kind in KINDS}
    controls = {kind: server.control(kind) for kind in kinds}
    began_s = time.monotonic()
    with tqdm(total=round(seconds), unit="s", disable=None, leave=False) as bar:
        for kind, pause_s in turns():
            if (now_s := time.monotonic()) - began_s >= seconds:
                break
            server.heard = kinds[kind]
            server.ask(controls[kind])
            while server.heard.waiting and time.monotonic() - began_s < seconds:
                server.hear()
            server.hear_until(time.monotonic() + pause_s)
            bar.update(time.monotonic() - now_s)
    return kinds


def _figures(heard: Hearing) -> dict[str, Any]:
    late = heard.late_samples
    return {
        "to_sound_s": Tail.of(heard.control_to_sound_s),
        "promises": len(late),
        "promises_kept": sum(samples <= 0 for samples in late),
        "latest_samples": max(late, default=0),
        "earliest_samples": min(late, default=0),
    }


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that a person reads."""
    host, bundle = report["machine"], report["bundle"]
    yield f"{host['processor']}, {host['cores']} cores, {host['system']}"
    yield (
        f"revision {report['revision']}, bundle {bundle['name']} {bundle['hash'][:12]}, "
        f"{report['backend']}, chunks of {1e3 * report['chunk_s']:.0f} ms"
    )
    yield (
        f"settled {report['settled_s']:.1f} s after first audio; chunks are begun "
        f"{1e3 * report['lead_s']:.0f} ms before they are due, {1e3 * report['margin_s']:.0f} "
        f"of it margin, {1e3 * report['least_spare_s']:.0f} to spare at least; "
        f"{report['deadline_misses']} misses, {report['underruns']} underruns"
    )
    yield ""
    yield "a native client, by the stamps of the packets"
    yield f"{'control to sound, s':<20}" + "".join(f"{name:>10}" for name in TAIL) + f"{'of':>8}"
    for kind, found in report["control"].items():
        yield tail_line(kind, found["to_sound_s"]) + f"{found['to_sound_s']['count']:>8}"
    for kind, found in report["control"].items():
        yield (
            f"promised sample of {kind}s: {found['promises_kept']} of {found['promises']} kept, "
            f"at worst {found['latest_samples']} samples late, {-found['earliest_samples']} early"
        )
    yield from page_control.render(report["page"])
    yield ""
    yield from verdict_lines(report["verdict"])
