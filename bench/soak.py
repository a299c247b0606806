"""An hour of live music on a machine that is busy beside it: `make soak`, `python -m bench.soak`.

`perpetuo serve` runs in processes of its own while every core is kept busy by another one (by
stress-ng where that is installed). A listener hears all of it, steers it, changes the prompts and
reads /metrics, as its users do. Asked for are no underrun, no lost packet, no restart, and memory
that does not grow: a straight line through the medians of twelve parts of the time, whose slope is
0 within its 95 % interval (`slope`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from bench import machine
from bench.command import answered
from bench.hearing import Hearing
from bench.live import Serving, serving
from bench.load import busy
from bench.processes import own_memory_mb, tree, turns_s
from bench.timing import Tail
from engine.cli import Parser

PARTS = 12
STUDENT_T = 2.228
"""97.5 % of Student's t with PARTS - 2 degrees of freedom, as many as PARTS - 1 steps have."""

SLOW = 0.5
WORST = 5
LOOK_S = 10.0
ASK_S = 5.0
PROMPT_S = 60.0
PROMPTS = ("calm jazz with piano", "house", "folk with guitar", "ambient", "funk with drums")
RESTARTS = "perpetuo_restarts_total"
TICKS = "perpetuo_ticks_total"


@dataclass(frozen=True)
class Slope:
    """Memory against time, in MB an hour, with the half width of its 95 % interval."""

    mb_h: float
    error_mb_h: float

    @property
    def grows(self) -> bool:
        """Beyond what the noise explains; true as well where nobody knows."""
        return not self.mb_h <= self.error_mb_h


@dataclass
class Soak:
    """What was seen."""

    seconds: float
    load: int
    load_nice: int = 0
    ring_s: float = 0.0
    packets: int = 0
    lost_packets: int = 0
    filler_packets: int = 0
    underruns: int = 0
    deadline_misses: int = 0
    holds: int = 0
    restarts: int = 0
    cpu_s: float = 0.0
    waited_s: float = 0.0
    """For a processor, while there was something to do: what the load beside it cost."""
    least_spare_ms: float = float("inf")
    gap_ms: Tail = field(default_factory=lambda: Tail.of([]))
    ticks: int = 0
    tick_ms: list[float] = field(default_factory=list)
    """Of those that a state of the server's told, which are nearly all."""
    slow: list[tuple[float, float, float]] = field(default_factory=list)
    """Ticks of more than half a chunk: when, their ms, and the seconds since a prompt changed."""
    budget_ms: float = float("nan")
    at_s: list[float] = field(default_factory=list)
    memory_mb: list[dict[str, float]] = field(default_factory=list)
    """Of every process, by role and number: what it has made (`own_memory_mb`)."""

    @property
    def totals_mb(self) -> list[float]:
        """Of all processes together."""
        return [sum(one.values()) for one in self.memory_mb]

    def slope(self, name: str | None = None) -> Slope:
        """Of one process, or of all of them."""
        values = self.totals_mb if name is None else [m.get(name, np.nan) for m in self.memory_mb]
        return slope(self.at_s, values)

    @property
    def passed(self) -> bool:
        """All of what is asked for."""
        failures = self.lost_packets, self.filler_packets, self.underruns, self.restarts
        return self.packets > 0 and not any(failures) and not self.slope().grows


def slope(at_s: Sequence[float], values_mb: Sequence[float]) -> Slope:
    """Through the medians of PARTS parts, by least squares; NaN where there are too few values.

    Its error is the greater of two: that of a straight line through values that tremble, and that
    of a walk whose steps are chance, which is what a process does that now and then needs a page
    more than ever before and keeps it.
    """
    if len(at_s) < 2 * PARTS:
        return Slope(float("nan"), float("nan"))
    hours = np.array([part.mean() for part in np.array_split(np.array(at_s) / 3600, PARTS)])
    medians = np.array([np.median(part) for part in np.array_split(np.array(values_mb), PARTS)])
    away = hours - hours.mean()
    steep = float((away * medians).sum() / (away**2).sum())
    rest = medians - medians.mean() - steep * away
    trembling = np.sqrt((rest**2).sum() / (PARTS - 2) / (away**2).sum())
    walking = (np.diff(medians) / np.diff(hours)).std(ddof=1) / np.sqrt(PARTS - 1)
    return Slope(steep, float(STUDENT_T * max(trembling, walking)))


def soak(server: Serving, run: Soak, warm_s: float) -> None:
    """Listen, steer and look; what happens within `warm_s` is not counted."""
    server.settle()
    _attend(server, Soak(warm_s, run.load), time.monotonic() + warm_s)
    server.states, server.heard = server.states[-1:], Hearing()
    restarts, ticks = scraped(server, RESTARTS), scraped(server, TICKS)
    before_s = turns(server)
    _attend(server, run, time.monotonic() + run.seconds)
    run.cpu_s, run.waited_s = (b - a for a, b in zip(before_s, turns(server), strict=True))
    heard = server.heard
    run.packets, run.gap_ms = heard.packets, heard.gaps_ms()
    run.lost_packets, run.filler_packets = heard.skipped, heard.filler_packets
    run.underruns, run.holds = server.grown("underruns"), server.grown("holds")
    run.deadline_misses = server.grown("deadline_misses")
    run.restarts = round(scraped(server, RESTARTS) - restarts)
    run.ticks = round(scraped(server, TICKS) - ticks)


def turns(server: Serving) -> tuple[float, float]:
    """Of all its processes: seconds at work, and in waiting for it."""
    found = [turns_s(pid) for pid in tree(server.process_id)]
    return sum(ran for ran, _ in found), sum(waited for _, waited in found)


def _attend(server: Serving, run: Soak, end_s: float) -> None:
    start_s = time.monotonic()
    look_s = ask_s = prompt_s = start_s
    turn = 0
    while (now_s := time.monotonic()) < end_s:
        if now_s >= look_s:
            look_s += LOOK_S
            _look(server, run, now_s - start_s)
        if now_s >= ask_s and not server.heard.waiting:
            ask_s = now_s + ASK_S
            server.ask(server.control("idea"))
        if now_s >= prompt_s and server.prompting:
            prompt_s, turn = now_s + PROMPT_S, turn + 1
            prompt = {"text": PROMPTS[turn % len(PROMPTS)], "weight": 1.0}
            server.feed.send(json.dumps({"type": "prompts", "prompts": [prompt]}))
        server.hear()
        _note(run, server.states[-1], now_s - start_s, now_s - prompt_s + PROMPT_S)
        server.states[1:-1] = []


def _note(run: Soak, state: dict[str, Any], at_s: float, prompted_s: float) -> None:
    run.ring_s = max(run.ring_s, state["fill_ms"] / 1e3)
    run.least_spare_ms = min(run.least_spare_ms, state["spare_ms"])
    run.budget_ms = state["budget_ms"]
    if run.tick_ms[-1:] != [state["tick_ms"]]:
        run.tick_ms.append(state["tick_ms"])
        if state["tick_ms"] > SLOW * state["budget_ms"]:
            run.slow.append((at_s, state["tick_ms"], prompted_s))


def _look(server: Serving, run: Soak, at_s: float) -> None:
    """Read the memory of all processes, and /metrics as Prometheus does."""
    scraped(server, RESTARTS)
    run.at_s.append(at_s)
    pids = tree(server.process_id)
    run.memory_mb.append({f"{role(pid)} {pid}": own_memory_mb(pid) for pid in pids})
    if len(run.at_s) % 30 == 0:
        state = f"{run.totals_mb[-1]:.2f} MB, {server.grown('underruns')} underruns"
        print(f"{at_s:6.0f} s  {state}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


def role(pid: int) -> str:
    """What a process of `perpetuo serve` is."""
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    return next((name for name in ("engine", "feed") if name.encode() in said[4:]), "watcher")


def scraped(server: Serving, name: str) -> float:
    """The sum of a family of /metrics."""
    with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def report(run: Soak) -> list[str]:
    """For people."""
    total, gap, tick = run.slope(), run.gap_ms, Tail.of(run.tick_ms)
    lines = [
        f"soak             {run.seconds:.0f} s beside {run.load} busy processes of niceness "
        f"{run.load_nice}",
        f"ring             {run.ring_s:.2f} s at the most; least spare {run.least_spare_ms:.0f} ms",
        f"underruns        {run.underruns}; {run.filler_packets} packets of filler",
        f"packets          {run.packets}, {run.lost_packets} lost; gap p50 {gap.p50:.1f}  "
        f"p99 {gap.p99:.1f}  max {gap.max:.1f} ms",
        f"engine           {run.deadline_misses} deadlines missed, {run.holds} holds, "
        f"{run.restarts} restarts",
        f"ticks            {run.ticks}; p50 {tick.p50:.0f}  p99 {tick.p99:.0f}  "
        f"p99.9 {tick.p999:.0f}  max {tick.max:.0f} ms of {run.budget_ms:.0f}",
    ]
    lines += [
        f"  slow           {ms:.0f} ms at {at_s:.0f} s, {since_s:.0f} s behind a prompt"
        for at_s, ms, since_s in sorted(run.slow, key=lambda one: -one[1])[:WORST]
    ]
    lines.append(f"processor        {run.cpu_s:.0f} s, and {run.waited_s:.0f} s of waiting for it")
    if run.memory_mb:
        lines.append(f"memory           {run.totals_mb[0]:.1f} MB at first, "
                     f"{run.totals_mb[-1]:.1f} MB at last")  # fmt: skip
        lines.append(f"memory slope     {total.mb_h:+.3f} ± {total.error_mb_h:.3f} MB/h")
        for name in run.memory_mb[0]:
            one = run.slope(name)
            lines.append(f"  {name:14} {one.mb_h:+.3f} ± {one.error_mb_h:.3f} MB/h")
    return [*lines, "passed" if run.passed else "failed"]


def main() -> int:
    """0 where it held, else 1."""
    parser = Parser(prog="python -m bench.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--warm", type=float, default=900.0, help="seconds before that (900)")
    parser.add_argument("--load", type=int, default=os.cpu_count(), help="busy processes beside it")
    parser.add_argument("--load-nice", type=int, default=0, help="their niceness (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all that was seen")
    given, rest = parser.parse_known_args()
    return answered("soak", lambda: _run(given, rest))


def _run(given: object, rest: list[str]) -> int:
    options = vars(given)
    run = Soak(options["seconds"], options["load"], options["load_nice"])
    with busy(run.load, options["load_nice"]), serving(rest) as server:
        soak(server, run, options["warm"])
    lines = [f"perpetuo {machine.revision()} on {machine.describe()}", *report(run)]
    print("\n".join(lines), flush=True)
    if options["json"] is not None:
        options["json"].write_text(json.dumps(asdict(run)), encoding="utf-8")
    return 0 if run.passed else 1


if __name__ == "__main__":
    sys.exit(main())
