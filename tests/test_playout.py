import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.playout import STANDSTILL_S, Playout, WatchedRing

RATE_HZ = 24000
PACKET = 2400


def playing(delays_s: list[float], gulp: int = PACKET, start_s: float = 50.0) -> Playout:
    """A sink that takes `gulp` samples at start + n · gulp, each so much too late."""
    playout = Playout(RATE_HZ)
    now_s = 0.0
    for n, delay_s in enumerate(delays_s):
        now_s = max(now_s, start_s + n * gulp / RATE_HZ + delay_s)
        playout.note(now_s, (n + 1) * gulp, gulp, gulp)
    return playout


def test_before_a_sink_begins_all_that_is_written_is_left() -> None:
    playout = Playout(RATE_HZ)
    assert not playout.started
    assert playout.left_s(7.0, 12000) == 0.5
    playout.note(7.0, 0, PACKET, 0)  # silence before the music
    assert not playout.started


@pytest.mark.parametrize(
    ("written", "left_s"), [(2400, 0.1), (3600, 0.1), (4799, 0.1), (4800, 0.2), (7200, 0.3)]
)
def test_what_is_ahead_counts_in_whole_gulps(written: int, left_s: float) -> None:
    playout = playing([0.0])
    assert playout.started
    assert playout.left_s(50.0, written) == pytest.approx(left_s)
    assert playout.left_s(50.07, written) == pytest.approx(left_s - 0.07)


def test_a_gulp_that_was_late_is_caught_up_with() -> None:
    playout = playing([0.0] * 20 + [0.08])
    assert playout.left_s(52.08, 21 * PACKET) == pytest.approx(0.02, abs=0.002)


def test_a_sink_that_stood_still_goes_on_from_where_it_is() -> None:
    playout = playing([0.0] * 5)
    assert playout.left_s(50.5 + STANDSTILL_S + 0.1, 8 * PACKET) == pytest.approx(0.3)
    playout.note(53.0, 6 * PACKET, PACKET, PACKET)
    assert playout.left_s(53.0, 6 * PACKET) == pytest.approx(0.1)


def test_silence_that_was_played_puts_off_what_follows() -> None:
    playout = playing([0.0, 0.0])
    playout.note(50.2, 2 * PACKET + 1200, PACKET, 1200)
    assert playout.left_s(50.2, 3 * PACKET + 1200) == pytest.approx(0.2, abs=0.003)


def test_gulps_of_any_size_are_taken_by_the_sample() -> None:
    playout = Playout(RATE_HZ)
    taken = 0
    for n, gulp in enumerate((240, 480, 240, 120)):
        taken += gulp
        playout.note(10.0 + taken / RATE_HZ, taken, gulp, gulp)
        assert n == 0 or playout._taken.gulp_samples == 1
    assert playout.left_s(10.0 + taken / RATE_HZ, taken + 2400) == pytest.approx(0.1, abs=0.001)


@given(st.lists(st.floats(0.0, 0.05), min_size=2, max_size=80), st.floats(0.0, 0.099))
def test_no_jitter_makes_it_hope_for_longer_than_the_jitter(
    delays_s: list[float], later_s: float
) -> None:
    """The truth is the sink's own schedule, which the first gulp may have been late for."""
    playout = playing(delays_s)
    count = len(delays_s)
    now_s = 50.0 + (count - 1) * 0.1 + later_s
    true_s = 50.0 + (count + 1) * 0.1 - now_s
    found_s = playout.left_s(now_s, (count + 1) * PACKET)
    assert true_s - 1e-9 <= found_s <= true_s + min(delays_s) + 0.001 * count + 1e-9


def test_a_watched_ring_notes_what_is_taken_and_when() -> None:
    now_s = [3.0]
    ring = WatchedRing(48000, 1, RATE_HZ, lambda: now_s[0])
    ring.write(np.ones((12000, 1), np.float32))
    assert ring.left_s() == 0.5
    assert ring.read_into(np.zeros((PACKET, 1), np.float32)) == PACKET
    now_s[0] = 3.04
    assert ring.left_s() == pytest.approx(0.46)
