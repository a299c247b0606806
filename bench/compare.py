"""`perpetuo bench compare A B`: is run B worse than run A by more than a bound?

Exit code 0 where nothing got worse, 1 where something did, 2 where there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import lookup, read_report
from engine import ranges
from engine.cli import Parser
from engine.errors import UsageError


@dataclass(frozen=True)
class Figure:
    """One figure of a report: its place in the JSON, and the change too small to mean anything."""

    path: str
    slack: float
    higher_is_better: bool = False


FIGURES = (
    Figure("streams", 0.0, higher_is_better=True),
    Figure("real_time_factor", 0.005),
    Figure("deadline_misses", 0.0),
    Figure("longest_miss_run", 0.0),
    Figure("cold_first_chunk_s", 0.02),
    Figure("tick_ms.p50", 1.0),
    Figure("tick_ms.p99", 3.0),
    Figure("tick_share.p999", 0.05),
    Figure("first_audio.warm_s", 0.01),
    Figure("first_audio.process_s", 0.1),
    Figure("overhead.fraction", 0.005),
    Figure("memory.end_mb", 20.0),
    Figure("live.underruns", 0.0),
    Figure("live.memory_end_mb", 20.0),
    Figure("live.deadline_misses", 0.0),
    Figure("live.control_to_sound_s.p99", 0.05),
    Figure("live.feed_gap_ms.p99", 5.0),
    Figure("sink.underruns", 0.0),
    Figure("sink.gap_ms.p99", 1.0),
    Figure("control.idea.to_sound_s.p99", 0.05),
    Figure("control.hand.to_sound_s.p99", 0.02),
    Figure("page.control.idea.to_sound_s.p99", 0.1),
    Figure("page.control.hand.to_sound_s.p99", 0.05),
    Figure("autoencoder.held_out.mel_error_db", 0.05),
    Figure("autoencoder.held_out.si_sdr_db", 0.2, higher_is_better=True),
    Figure("frechet.ratio", 0.02),
    Figure("kept.continuation.key_same", 0.05, higher_is_better=True),
    Figure("kept.continuation.tempo_same", 0.05, higher_is_better=True),
)


@dataclass(frozen=True)
class Change:
    """One figure in both runs; `worse` where it passed the bound."""

    name: str
    before: float
    after: float
    worse: bool


def changes(before: Mapping[str, Any], after: Mapping[str, Any], bound: float) -> list[Change]:
    """Every figure that both runs have. Worse: beyond `bound` as a share *and* beyond its slack."""
    found = []
    for figure in FIGURES:
        old, new = lookup(before, figure.path), lookup(after, figure.path)
        if old is None or new is None:
            continue
        loss = old - new if figure.higher_is_better else new - old
        worse = loss > max(bound * abs(old), figure.slack)
        found.append(Change(figure.path, old, new, worse))
    return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What besides the code changed between the runs, in words."""
    notes = []
    for name in ("machine", "backend", "bundle", "ladder"):
        if before.get(name) != after.get(name):
            notes.append(f"the runs differ in {name}: {before.get(name)} against {after.get(name)}")
    for first, second, name in ((before, after, "B"), (after, before, "A")):
        lost = [one.path for one in FIGURES if lookup(first, one.path) is not None]
        lost = [path for path in lost if lookup(second, path) is None]
        if lost:
            notes.append(f"not in {name}: {', '.join(lost)}")
    return notes


def render(found: Sequence[Change]) -> str:
    """The table that a person reads."""
    width = max(len(change.name) for change in found)
    lines = []
    for change in found:
        share = f"{(change.after / change.before - 1.0) * 100:+8.1f} %" if change.before else ""
        mark = "  WORSE" if change.worse else ""
        figures = f"{change.before:12.4f} {change.after:12.4f} {share:10}"
        lines.append(f"{change.name:<{width}} {figures}{mark}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table; 0 no worse, 1 worse. UsageError where there is nothing to compare."""
    parser = Parser(prog="perpetuo bench compare", description=__doc__)
    parser.add_argument("before", type=Path, metavar="A")
    parser.add_argument("after", type=Path, metavar="B")
    parser.add_argument(
        "--bound",
        type=ranges.number(0.0, 100.0),
        default=0.15,
        help="share that is too much (0.15)",
    )
    options = parser.parse_args(argv)
    before, after = read_report(options.before), read_report(options.after)
    found = changes(before, after, options.bound)
    if not found:
        raise UsageError("the two runs have no figure in common; compare two of one benchmark")
    print("\n".join([*differences(before, after), render(found)]))
    return 1 if any(change.worse for change in found) else 0
