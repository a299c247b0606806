"""Arithmetic on measured times: tails, and lateness against a schedule. No clock in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LATENESS_EDGES_CHUNKS = (
    *(round(-1.0 + 0.05 * step, 2) for step in range(20)),
    *(0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
)


@dataclass(frozen=True)
class Tail:
    """A distribution by its tail, in the unit of what went in. NaN throughout if empty."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Tail:
        """Percentiles by linear interpolation between order statistics."""
        if not len(values):
            return cls(0, *[float("nan")] * 6)
        array = np.asarray(values, dtype=np.float64)
        points = [float(p) for p in np.percentile(array, [50, 90, 99, 99.9, 100])]
        return cls(len(array), float(array.mean()), *points)


@dataclass(frozen=True)
class Lateness:
    """How late blocks were against their intended times; negative is early."""

    late_s: tuple[float, ...]
    chunk_s: float

    @property
    def misses(self) -> int:
        """Blocks that were not there when they were due."""
        return sum(late > 0.0 for late in self.late_s)

    @property
    def longest_run(self) -> int:
        """The most misses in a row."""
        longest = run = 0
        for late in self.late_s:
            run = run + 1 if late > 0.0 else 0
            longest = max(longest, run)
        return longest

    def histogram(self) -> list[tuple[float, float, int]]:
        """(from, to, blocks) in chunks, edges fixed so that two runs compare; the last is open."""
        edges = np.array([-np.inf, *LATENESS_EDGES_CHUNKS, np.inf])
        late_chunks = np.array(self.late_s) / self.chunk_s
        counts, _ = np.histogram(np.clip(late_chunks, -1e9, 1e9), edges)
        return [
            (float(low), float(high), int(count))
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ]


def paced_lateness(costs_s: Sequence[float], chunk_s: float) -> Lateness:
    """Lateness if tick k may not start before k·chunk and must be done at (k + 1)·chunk.

    A tick that overruns delays the next (Lindley 1952), so a stall is charged to every block that
    it holds up, although the ticks themselves were run as fast as they go.
    """
    late, done = [], 0.0
    for index, cost in enumerate(costs_s):
        done = max(done, index * chunk_s) + cost
        late.append(done - (index + 1) * chunk_s)
    return Lateness(tuple(late), chunk_s)
