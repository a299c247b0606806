import gc
from collections.abc import Iterator

import pytest

from engine import tidy
from engine.tidy import Tidy


@pytest.fixture
def begun() -> Iterator[Tidy]:
    one = Tidy()
    one.begin()
    yield one
    one.end()


def rubbish() -> None:
    cycle: list[object] = []
    cycle.append(cycle)


def test_nothing_is_collected_by_itself_until_the_last_one_ends() -> None:
    one, other = Tidy(), Tidy()
    assert gc.isenabled()
    one.begin()
    one.begin()
    other.begin()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 1000
    one.end()
    one.end()
    assert not gc.isenabled()
    other.end()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        one = Tidy()
        one.begin()
        one.end()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_long_rest_is_used_and_a_short_one_is_not(begun: Tidy) -> None:
    rubbish()
    begun.rest(0.0)
    assert begun.collections == [0, 0, 0]
    begun.rest(1.0)
    assert begun.collections == [1, 0, 0]
    assert gc.get_count()[0] < 100


def test_older_generations_have_their_turns(begun: Tidy) -> None:
    for _ in range(256):
        begun.rest(100.0)
    assert begun.collections == [240, 15, 1]


def test_what_takes_too_long_is_left_for_another_time(begun: Tidy) -> None:
    begun.usual_s[1] = 50.0
    for _ in range(16):
        begun.rest(1.0)
    assert begun.collections[1] == 0
    assert begun.usual_s[1] == 25.0


def test_litter_is_collected_even_where_there_is_no_time(
    begun: Tidy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "LITTER", 0)
    begun.rest(0.0)
    assert begun.collections == [1, 0, 0]


def test_before_it_has_begun_it_does_nothing() -> None:
    one = Tidy()
    one.rest(1.0)
    one.end()
    assert one.collections == [0, 0, 0]
    assert gc.isenabled()
