import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.ring import FADE_SAMPLES, AudioRing


def ramp(start: int, count: int, channels: int = 1) -> np.ndarray:
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], channels, axis=1)


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=40),
)
def test_what_goes_in_comes_out_in_order(capacity: int, turns: list[tuple[bool, int]]) -> None:
    ring = AudioRing(capacity, 2)
    given_samples, taken_samples = 0, 0
    for write, count in turns:
        if write and count <= capacity:
            fits = count <= capacity - (given_samples - taken_samples)
            assert ring.write(1 + ramp(given_samples, count, 2)) is fits
            given_samples += count * fits
        elif not write:
            count = min(count, given_samples - taken_samples)
            out = np.full((count, 2), np.nan, np.float32)
            assert ring.read_into(out) == count
            np.testing.assert_array_equal(out, 1 + ramp(taken_samples, count, 2))
            taken_samples += count
        assert ring.fill_samples == given_samples - taken_samples
        assert (ring.written_samples, ring.read_samples) == (given_samples, taken_samples)
    assert ring.shortfall_samples == 0


def test_a_block_that_does_not_fit_changes_nothing() -> None:
    ring = AudioRing(10, 1)
    assert ring.write(ramp(0, 7))
    assert not ring.write(ramp(7, 4))
    out = np.zeros((7, 1), np.float32)
    ring.read_into(out)
    np.testing.assert_array_equal(out, ramp(0, 7))


def test_a_block_that_can_never_fit_is_an_error() -> None:
    with pytest.raises(UsageError, match="11 samples × 1 channels into a ring of 10 × 1"):
        AudioRing(10, 1).write(ramp(0, 11))
    with pytest.raises(UsageError, match="2 channels"):
        AudioRing(10, 1).write(ramp(0, 2, 2))


@given(st.integers(0, 300), st.integers(1, 400), st.integers(1, 300))
def test_a_read_is_always_full_and_the_rest_is_counted(
    written: int, wanted: int, again: int
) -> None:
    ring = AudioRing(400, 1)
    ring.write(np.ones((written, 1), np.float32))
    for count in (wanted, again):
        out = np.full((count, 1), np.nan, np.float32)
        ring.read_into(out)
        assert np.isfinite(out).all()
    total = wanted + again
    assert ring.shortfall_samples == (max(0, total - written) if written else 0)


@given(st.lists(st.integers(1, 97), min_size=20, max_size=40), st.integers(100, 400))
def test_running_dry_and_coming_back_never_clicks(reads: list[int], written: int) -> None:
    """A level of 1 falls and rises in steps no larger than those of the fade."""
    ring = AudioRing(2000, 1)
    ring.write(np.ones((written, 1), np.float32))
    heard = []
    for turn, count in enumerate(reads):
        if turn == len(reads) // 2:
            ring.write(np.ones((500, 1), np.float32))
        out = np.zeros((count, 1), np.float32)
        ring.read_into(out)
        heard.append(out[:, 0])
    steps = np.abs(np.diff(np.concatenate(heard)))
    assert steps.max() <= 2.0 / FADE_SAMPLES


def test_silence_before_the_start_is_not_missed() -> None:
    ring = AudioRing(100, 1)
    out = np.ones((50, 1), np.float32)
    ring.read_into(out)
    assert (out == 0).all()
    assert ring.shortfall_samples == ring.shortfalls == 0


def test_one_shortfall_over_many_reads_counts_once() -> None:
    ring = AudioRing(1000, 1)
    out = np.zeros((100, 1), np.float32)
    for _ in range(2):
        ring.write(np.ones((150, 1), np.float32))
        for _ in range(4):
            ring.read_into(out)
    assert ring.shortfalls == 2
    assert ring.shortfall_samples == 500


def test_one_thread_writes_while_another_reads() -> None:
    ring = AudioRing(64, 1)
    total = 8000

    def fill() -> None:
        sent = 0
        while sent < total:
            sent += 16 * ring.write(ramp(sent, 16))
            time.sleep(0)

    writer = threading.Thread(target=fill)
    writer.start()
    got: list[np.ndarray] = []
    while sum(map(len, got)) < total:
        ready = min(ring.fill_samples, 7)
        if ready:
            out = np.zeros((ready, 1), np.float32)
            ring.read_into(out)
            got.append(out)
        time.sleep(0)
    writer.join()
    np.testing.assert_array_equal(np.concatenate(got), ramp(0, total))
