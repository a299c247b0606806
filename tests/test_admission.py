import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.admission import ENOUGH, HORIZON_S, Load, check_room
from engine.errors import RoomError

CHUNK_S = 0.32


def load_of(tick_s: float, ticks: int = 100) -> Load:
    load = Load()
    for number in range(ticks):
        load.record(0.01 * number, tick_s, 10, 0.8 * tick_s, 10)
    return load


def test_as_many_fit_as_have_time_for_a_tick_each() -> None:
    assert load_of(0.05).room(1, CHUNK_S) == 6
    assert load_of(0.05).room(2, CHUNK_S) == 12
    assert load_of(0.4).room(1, CHUNK_S) == 0
    assert load_of(0.05, ENOUGH - 1).room(1, CHUNK_S) is None


@pytest.mark.parametrize("ticks", [ENOUGH, 100, 900])
def test_one_hiccup_says_nothing_and_two_do(ticks: int) -> None:
    load = load_of(0.05, ticks)
    load.record(10.0, 0.2, 10, 0.1, 10)
    assert load.tail_s == 0.05
    load.record(10.0, 0.3, 10, 0.1, 10)
    assert load.tail_s == 0.2


def test_of_many_it_is_one_in_a_thousand() -> None:
    load = load_of(0.05, 4990)
    for extra in range(10):
        load.record(50.0, 0.1 + extra, 10, 0.05, 10)
    assert load.tail_s == 5.1


def test_what_is_long_ago_is_forgotten() -> None:
    load = load_of(0.2)
    for number in range(ENOUGH):
        load.record(HORIZON_S + 2.0 + number, 0.05, 10, 0.04, 10)
    assert load.tail_s == 0.05
    assert len(load) == ENOUGH


def test_ticks_of_fewer_passes_are_no_room() -> None:
    load = Load()
    for _ in range(ENOUGH):
        load.record(0.0, 0.03, 2, 0.02, 10)
    assert load.tail_s == pytest.approx(0.11)
    for _ in range(2):
        load.record(0.0, 0.3, 40, 0.29, 10)  # more passes than usual cost what they cost
    assert load.tail_s == 0.3


@given(
    st.floats(0.001, 1.0), st.integers(0, 50), st.integers(1, 50), st.integers(1, 8),
)  # fmt: skip
def test_whoever_is_let_in_fits(tick_s: float, playing: int, slots: int, workers: int) -> None:
    load = load_of(tick_s, ENOUGH)
    try:
        check_room(playing, slots, load, workers, CHUNK_S)
    except RoomError as error:
        assert error.retry_s > 0
        assert playing >= slots or (playing + 1) * tick_s > workers * CHUNK_S * (1 - 1e-9)
    else:
        assert playing < slots
        assert not playing or (playing + 1) * tick_s <= workers * CHUNK_S * (1 + 1e-9)


def test_refusals_say_why_and_when_to_ask_again() -> None:
    with pytest.raises(RoomError, match="all 3 places are taken") as full:
        check_room(3, 3, load_of(0.01), 1, CHUNK_S)
    with pytest.raises(RoomError, match=r"3 streams of 100 ms a tick .* 320 ms on 1 threads"):
        check_room(3, 9, load_of(0.1), 1, CHUNK_S)
    with pytest.raises(RoomError, match="being measured") as early:
        check_room(1, 9, Load(), 1, CHUNK_S)
    assert early.value.retry_s < full.value.retry_s
    check_room(0, 9, Load(), 1, CHUNK_S)  # the first one is what is measured
