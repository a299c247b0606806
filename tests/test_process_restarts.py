from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.process.restarts import Restarts


def test_so_many_within_the_window_and_no_more() -> None:
    restarts = Restarts(2, window_s=60.0)
    assert [restarts.allowed(now_s) for now_s in (0.0, 1.0, 2.0, 60.5, 60.9, 61.5)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_none_is_none() -> None:
    assert not Restarts(0).allowed(5.0)


@given(st.lists(st.floats(0, 300), max_size=60).map(sorted), st.integers(1, 6))
def test_no_window_ever_holds_more(times: list[float], most: int) -> None:
    restarts = Restarts(most, window_s=60.0)
    starts = [now_s for now_s in times if restarts.allowed(now_s)]
    for began_s in starts:
        assert sum(began_s <= now_s <= began_s + 60.0 for now_s in starts) <= most
    assert not times or starts
