"""The engine in real time, played to a sink that takes audio as a sound device does.

This process's own thread stands in for the device's callback: every 10 ms by the clock it takes
10 ms from the ring of a running engine. Its gaps are what a callback in Python gets while the
engine works beside it; what it finds missing would have been heard.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.timing import Tail
from engine.bundle import Bundle
from engine.commands.stream import SWITCH_S
from engine.controls import Controls
from engine.errors import PerpetuoError
from engine.generator import Generator
from engine.runner import Runner
from engine.session import Backend

PERIOD_S = 0.01
BEGIN_S = 60.0


@dataclass(frozen=True)
class SinkRun:
    """What the sink saw, and the engine's counters at the end."""

    seconds: float
    period_s: float
    gap_ms: Tail
    late_ms: Tail  # against the intended times of the callbacks
    underruns: int
    silent_s: float
    deadline_misses: int
    holds: int
    ring_s: float  # the most that may be ahead
    lead_s: float
    margin_s: float
    least_spare_s: float  # of the last 64 chunks


def measure_sink(
    bundle: Bundle, backend: Backend, seconds: float, ring_s: float = 0.6,
    progress: Callable[[float], object] | None = None,
) -> SinkRun:  # fmt: skip
    """Play for so long; PerpetuoError where no music comes within a minute."""
    generator = Generator(bundle, backend)
    runner = Runner(generator, Controls(bundle.manifest.controls), ring_s=ring_s)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    runner.start()
    try:
        if not runner.ready.wait(BEGIN_S):
            raise PerpetuoError(f"no music within {BEGIN_S:g} s: {runner.status().last_error}")
        times_s = _take(runner, round(PERIOD_S * generator.chunk_samples / generator.chunk_s),
                        round(seconds / PERIOD_S), progress)  # fmt: skip
    finally:
        runner.stop()
        sys.setswitchinterval(interval_s)
    return _sink_run(runner, seconds, ring_s, times_s)


def _take(
    runner: Runner, samples: int, times: int, progress: Callable[[float], object] | None
) -> list[float]:
    """When each of so many callbacks came, from the first one's intended time."""
    out = np.zeros((samples, runner.ring.channels), np.float32)
    came_s, start_s = [], time.monotonic()
    for count in range(times):
        time.sleep(max(0.0, start_s + count * PERIOD_S - time.monotonic()))
        came_s.append(time.monotonic() - start_s)
        runner.ring.read_into(out)
        if progress is not None:
            progress(PERIOD_S)
    return came_s


def _sink_run(runner: Runner, seconds: float, ring_s: float, times_s: list[float]) -> SinkRun:
    status = runner.status()
    return SinkRun(
        seconds=seconds,
        period_s=PERIOD_S,
        gap_ms=Tail.of([1e3 * (after - before) for before, after in itertools.pairwise(times_s)]),
        late_ms=Tail.of([1e3 * (came - n * PERIOD_S) for n, came in enumerate(times_s)]),
        underruns=runner.ring.shortfalls,
        silent_s=runner.ring.shortfall_samples / runner.ring.playout.rate_hz,
        deadline_misses=status.deadline_misses,
        holds=status.holds,
        ring_s=ring_s,
        lead_s=status.lead_s,
        margin_s=status.margin_s,
        least_spare_s=status.spare_s,
    )
