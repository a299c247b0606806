"""Many listeners of one feed, some of them stalled: `python -m bench.listeners`.

`perpetuo serve` runs on the stand-in, in processes of its own, on the core that --core names; the
other ends of all connections are here, on the other cores. A gap is the time between two packets of
one listener, by the kernel's stamps (`bench.ears`), so that it is the feed that is measured; they
are due every 100 ms. A third of the time nobody is stalled, so that what the stalled ones cost the
others shows. What the machine costs stands beside it: how much later than its stamp a packet was
read here, how long the server waited for a processor.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Sequence

from bench.ears import Ear, Record, attend
from bench.processes import tree, tree_memory_mb, turns_s
from bench.timing import Tail

PACKET_S = 0.1
MOST_GAP_PACKETS = 2.0
SETTLE_S = 3.0
CUT = 'perpetuo_listeners_gone_total{reason="behind"}'
TICKS_HZ = os.sysconf("SC_CLK_TCK")


def measure(address: str, given: argparse.Namespace) -> list[Ear]:
    """Connect, settle, listen, stall some, listen."""
    ears: list[Ear] = []
    for number in range(given.listeners):
        ears.append(Ear(address, given.codec, small=number < given.stalled))
        if number % 50 == 49:
            attend(ears, 0.05)  # so that nobody is behind before the last has come
    attend(ears, SETTLE_S)
    for ear in ears:
        ear.record.forget()
    attend(ears, given.seconds / 3)
    for ear in ears:
        ear.record.before_s, ear.record.times_s = ear.record.times_s, []
    for ear in ears[: given.stalled]:
        ear.stalled = True
    attend(ears, given.seconds * 2 / 3)
    return ears


def _gaps(times_s: Sequence[float]) -> list[float]:
    """In packets."""
    return [(after - before) / PACKET_S for before, after in itertools.pairwise(times_s)]


def report(
    heard: Sequence[Record], stalled: int, cut: int, cpu_s: float, memory_mb: float, seconds: float
) -> bool:
    """Print it, given the records of all who were not stalled; True if they heard as is asked."""
    gaps = [_gaps(one.times_s) for one in heard]
    before = Tail.of([gap for one in heard for gap in _gaps(one.before_s)])
    every = Tail.of([gap for one in gaps for gap in one])
    late = Tail.of([1e3 * late for one in heard for late in one.read_late_s])
    worst = max((Tail.of(one).p99 for one in gaps), default=float("nan"))
    lost, gone = sum(one.missed for one in heard), sum(one.gone for one in heard)
    print(f"listeners        {len(heard)}, and {stalled} stalled, {cut} of them cut")
    print(f"while all read   p50 {before.p50:.2f}  p99 {before.p99:.2f}  max {before.max:.2f}")
    print(f"gap, in packets  p50 {every.p50:.2f}  p99 {every.p99:.2f}  max {every.max:.2f}")
    print(f"worst listener   p99 {worst:.2f} (at most {MOST_GAP_PACKETS:g})")
    print(f"lost             {lost} packets, {gone} listeners")
    print(f"read here later  p50 {late.p50:.2f}  p99 {late.p99:.2f}  max {late.max:.2f} ms")
    print(f"perpetuo serve   {100 * cpu_s / seconds:.0f} % of a core, {memory_mb:.0f} MB")
    passed = worst <= MOST_GAP_PACKETS and not lost and not gone
    print("passed" if passed else "failed")
    return passed


def main() -> int:
    """0 where the listeners heard what is asked for, else 1."""
    parser = argparse.ArgumentParser(description="Many listeners of one feed.")
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--stalled", type=int, default=20)
    parser.add_argument("--codec", default="opus", choices=("opus", "pcm_s16le", "pcm_f32le"))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--core", type=int, help="the only one that perpetuo serve may use")
    given = parser.parse_args()
    pinned = [] if given.core is None else [shutil.which("taskset") or "taskset", "-c", given.core]
    if given.core is not None:
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {given.core} or {given.core})
    command = [
        *map(str, pinned), sys.executable, "-m", "engine", "serve", "--backend", "standin",
        "--port", "0", "--listeners", str(given.listeners + 10),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            address = serving.stdout.readline().split(" at ")[1].split()[0]
            before = cpu_s(serving.pid)
            ears = measure(address, given)
            cut = cut_by(address)
            waited_s = sum(turns_s(one)[1] for one in tree(serving.pid))
            used, memory_mb = cpu_s(serving.pid) - before, tree_memory_mb(serving.pid)
        finally:
            serving.terminate()
    print(f"perpetuo serve   waited {waited_s:.1f} s for a processor")
    heard = [ear.record for ear in ears if not ear.stalled]
    passed = report(heard, given.stalled, cut, used, memory_mb, given.seconds + SETTLE_S)
    return 0 if passed else 1


def cut_by(address: str) -> int:
    """How many listeners the server has cut; those who do not read never hear of it."""
    with urllib.request.urlopen(f"{address}metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [line.split()[-1] for line in lines if line.startswith(CUT)]
    return sum(int(float(value)) for value in found)


def cpu_s(process_id: int) -> float:
    """Processor time of a process and all below it that are still there."""
    total = 0
    for one in tree(process_id):
        with open(f"/proc/{one}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_HZ


if __name__ == "__main__":
    sys.exit(main())
