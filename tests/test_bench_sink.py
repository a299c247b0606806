"""bench.sink: the stand-in in real time, for a second."""

from __future__ import annotations

import sys

from bench.sink import measure_sink
from engine.backends import standin


def test_a_second_of_the_stand_in_is_taken_ten_milliseconds_at_a_time() -> None:
    bundle = standin.bundle(chunk_frames=(4,))
    interval_s = sys.getswitchinterval()
    taken: list[float] = []
    run = measure_sink(bundle, standin.StandIn(bundle), 1.0, progress=taken.append)
    assert run.late_ms.count == len(taken) == 100
    assert run.gap_ms.count == 99
    assert run.late_ms.p50 >= 0.0
    assert run.ring_s == 0.6
    assert run.margin_s > 0.0
    assert sys.getswitchinterval() == interval_s


def test_a_stall_is_seen_by_the_engine() -> None:
    bundle = standin.bundle(chunk_frames=(4,))
    backend = standin.StandIn(bundle)

    def stall(_: float) -> None:
        backend.faults.graph, backend.faults.delay_s = "decoder", 0.8

    assert measure_sink(bundle, backend, 1.5, progress=stall).deadline_misses > 0
