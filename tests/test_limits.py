"""Rates and backlogs: what a listener may cost, at any pace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.wire.limits import Backlog, TokenBucket, Verdict


@settings(max_examples=30)
@given(gaps_s=st.lists(st.floats(0.0, 0.5), max_size=100))
def test_no_pace_gets_more_than_burst_plus_rate(gaps_s: list[float]) -> None:
    bucket = TokenBucket(rate_hz=10.0, burst=5.0)
    now_s, taken = 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        taken += bucket.take(now_s)
    assert taken <= 5.0 + 10.0 * now_s + 1e-6


def test_a_clock_that_jumps_back_gives_nothing() -> None:
    bucket = TokenBucket(rate_hz=1.0, burst=1.0)
    assert bucket.take(100.0)
    assert not bucket.take(0.0)
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


def listen(drain: float, seconds: float, packet_s: float = 0.1) -> list[Verdict]:
    """A listener that reads at `drain` times the rate of the feed."""
    backlog, buffered_s, verdicts = Backlog(skip_s=1.0, cut_s=2.0), 0.0, []
    for _ in range(round(seconds / packet_s)):
        verdicts.append(backlog.judge(buffered_s, packet_s))
        if verdicts[-1] is Verdict.CUT:
            return verdicts
        sent_s = packet_s if verdicts[-1] is Verdict.SEND else 0.0
        buffered_s = max(0.0, buffered_s + sent_s - drain * packet_s)
        assert buffered_s <= 1.0
    return verdicts


def test_a_listener_that_keeps_up_gets_everything() -> None:
    assert set(listen(drain=1.0, seconds=60)) == {Verdict.SEND}


def test_a_stalled_listener_is_cut_at_two_seconds() -> None:
    verdicts = listen(drain=0.0, seconds=60)
    assert verdicts[-1] is Verdict.CUT
    assert len(verdicts) * 0.1 <= 2.2


def test_slow_listeners_are_skipped_and_stay() -> None:
    for drain in (0.5, 0.9):
        verdicts = listen(drain, seconds=120)
        assert Verdict.CUT not in verdicts
        sent = verdicts.count(Verdict.SEND) / len(verdicts)
        assert abs(sent - drain) < 0.1
