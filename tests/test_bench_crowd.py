import threading

import pytest

from bench.crowd import Crowd, play_crowd
from bench.timing import Tail
from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import ControlSnapshot
from engine.generator import Generator


@pytest.fixture
def bundle() -> Bundle:
    return standin.bundle(chunk_frames=(4,))


def crowd(backend: standin.StandIn, bundle: Bundle, controls: ControlSnapshot, **more) -> Crowd:
    asked = {"streams": 3, "threads": 2, "seconds": 0.4, **more}
    make = lambda: Generator(bundle, backend)  # noqa: E731
    return play_crowd(make, controls, 4, memory_mb=lambda: 7.0, **asked)


def test_every_stream_plays_as_many_blocks(
    backend: standin.StandIn, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    found = crowd(backend, bundle, snapshot)
    assert (found.streams, found.blocks, found.memory_mb) == (3, 15, 7.0)
    assert found.late_ms.count == found.tick_ms.count == 15
    assert found.late_ms.p50 > -80.0
    assert not [thread for thread in threading.enumerate() if thread.name == "perpetuo-crew"]


def test_too_many_streams_are_late_and_soon_given_up(
    backend: standin.StandIn, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    backend.faults.graph, backend.faults.delay_s = "decoder", 0.1  # chunks of 80 ms
    found = crowd(backend, bundle, snapshot, threads=1, seconds=600.0)
    assert found.given_up
    assert not found.kept
    assert found.misses > 0
    assert found.blocks < 100


def test_lateness_counts_from_the_intended_time(
    backend: standin.StandIn, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    backend.faults.graph, backend.faults.delay_s = "decoder", 0.12
    found = crowd(backend, bundle, snapshot, streams=1, seconds=0.4)
    assert found.blocks == 5
    assert found.late_ms.max >= 5 * (120 - 80)  # each late block holds up those behind it


def test_what_fails_comes_through(
    backend: standin.StandIn, bundle: Bundle, snapshot: ControlSnapshot
) -> None:
    backend.faults.error = MemoryError("gone")
    with pytest.raises(MemoryError, match="gone"):
        crowd(backend, bundle, snapshot)


def test_kept_is_one_late_block_in_a_thousand_at_most() -> None:
    def late(*late_ms: float) -> Crowd:
        return Crowd(1, len(late_ms), Tail.of(late_ms), Tail.of([1.0]), 0, False, 0.0)

    assert late(*[-1.0] * 2000, 5.0).kept
    assert not late(*[-1.0] * 100, 5.0).kept
