from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.process.patience import Patience


def test_silence_is_counted_until_there_is_a_new_sign() -> None:
    patience = Patience(0.1)
    signs = {0.00: 1.0, 0.05: 1.0, 0.10: 1.0, 0.15: 2.0, 0.20: 2.0}
    silent = [patience.silent_s(now_s, {7: sign})[7] for now_s, sign in signs.items()]
    assert silent == pytest.approx([0.0, 0.05, 0.1, 0.0, 0.05])


def test_a_watcher_that_got_no_turn_has_missed_one_look() -> None:
    patience = Patience(0.1)
    patience.silent_s(0.0, {1: 5.0})
    assert patience.silent_s(60.0, {1: 5.0})[1] == pytest.approx(0.1)
    assert patience.silent_s(60.05, {1: 5.0})[1] == pytest.approx(0.15)


def test_each_is_counted_apart_and_who_went_is_forgotten() -> None:
    patience = Patience(1.0)
    patience.silent_s(0.0, {1: 0.0, 2: 0.0})
    assert patience.silent_s(1.0, {1: 0.0, 2: 0.9}) == {1: 1.0, 2: 0.0}
    assert patience.silent_s(2.0, {2: 0.9}) == {2: 1.0}
    assert patience.silent_s(3.0, {1: 0.0}) == {1: 0.0}


@given(st.lists(st.floats(0.01, 0.1), min_size=1, max_size=200))
def test_of_a_watcher_in_time_it_is_the_time_itself(steps_s: list[float]) -> None:
    patience, now_s = Patience(0.1), 0.0
    patience.silent_s(now_s, {1: 3.0})
    for step_s in steps_s:
        now_s += step_s
        silent_s = patience.silent_s(now_s, {1: 3.0})[1]
    assert silent_s == pytest.approx(now_s, abs=1e-6)
