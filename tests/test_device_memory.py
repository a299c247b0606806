from __future__ import annotations

from multiprocessing.connection import Connection

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import Controls, ControlSnapshot
from engine.sinks.device_memory import CushionedRing, Memory, SharedHands, SharedRing
from engine.sinks.device_process import start

RATE = 1000


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


def read(memory: Memory, count: int, told: Connection) -> None:
    """In a child: what the ring holds, and the gain."""
    out = np.zeros((count, 1), np.float32)
    CushionedRing(memory, RATE, 0.0).read_into(out)
    told.send((out, ControlSnapshot(0, SharedHands(memory)).value("gain_db", 0.0)))


def test_another_process_reads_what_is_written(controls: Controls) -> None:
    memory = Memory(1000, 1)
    ring = SharedRing(memory)
    ring.write(ramp(1, 600))
    controls.set("gain_db", -6)
    memory.show(controls.snapshot())
    child, told = start(read, memory, 500)
    heard, gain_db = told.recv()
    child.join(60)
    np.testing.assert_array_equal(heard[128:], ramp(129, 372))
    assert np.abs(heard[:128]).max() < 128  # faded in
    assert gain_db == -6
    assert (ring.read_samples, ring.fill_samples) == (500, 100)


@given(pieces=st.lists(st.integers(1, 90), min_size=1, max_size=40))
def test_any_pieces_come_out_in_order(pieces: list[int]) -> None:
    memory = Memory(200, 1)
    ours, theirs = SharedRing(memory), CushionedRing(memory, RATE, 0.0)
    written = 0
    for count in pieces:
        assert ours.write(ramp(written, count))
        out = np.zeros((count, 1), np.float32)
        assert theirs.read_into(out) == count
        late = max(0, 128 - written)
        np.testing.assert_array_equal(out[late:], ramp(written, count)[late:])
        written += count
    assert ours.shortfalls == 0


def test_a_reader_waits_for_its_cushion_again_and_again() -> None:
    memory = Memory(1000, 1)
    ours, theirs = SharedRing(memory), CushionedRing(memory, RATE, 0.15)
    out = np.zeros((100, 1), np.float32)
    for _ in range(2):
        ours.write(np.ones((149, 1), np.float32))
        assert theirs.read_into(out) == 0
        assert not memory.head.flowing
        ours.write(np.ones((51, 1), np.float32))
        assert theirs.read_into(out) == 100
        assert memory.head.flowing
        assert theirs.read_into(out) == 100
        assert theirs.read_into(out) == 0
    assert ours.shortfalls == 2


def test_the_cushion_holds_a_callback_at_least() -> None:
    memory = Memory(1000, 1)
    ours, theirs = SharedRing(memory), CushionedRing(memory, RATE, 0.01)
    memory.head.longest_s = 0.2
    ours.write(np.ones((199, 1), np.float32))
    assert theirs.fill_samples == 0
    memory.head.longest_s = 60.0  # more than there will ever be
    ours.write(np.ones((301, 1), np.float32))
    assert theirs.fill_samples == 500


def test_a_child_that_leaves_panics() -> None:
    memory = Memory(10, 1)
    hands = SharedHands(memory)
    assert dict(hands) == {"gain_db": 0.0, "mute": 0.0, "fade": 0.0, "panic": 0.0}
    memory.head.leaving = 1
    assert hands["panic"] == 1.0
    assert "hold" not in hands
