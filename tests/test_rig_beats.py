import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.rig.beats import BeatClock

RATE = 24000


def test_beats_and_bars_at_120() -> None:
    clock = BeatClock(RATE, 120)
    assert clock.beat_at(0) == 0
    assert clock.beat_at(12000) == 1
    assert [clock.bar_at(sample) for sample in (0, 47999, 48000, 96000)] == [1, 1, 2, 3]
    assert clock.beat_of_bar(3) == 8


def test_the_next_beat_and_bar_begin_at_or_after_a_sample() -> None:
    clock = BeatClock(RATE, 120)
    assert clock.next("beat", 0) == 0
    assert clock.next("beat", 1) == 1
    assert clock.next("bar", 1) == 4
    assert clock.next("bar", 48000) == 4
    assert clock.next("bar", 48001) == 8


def test_a_tempo_holds_from_its_sample_on_and_no_beat_jumps() -> None:
    clock = BeatClock(RATE, 120)
    clock.tempo(60, 24000)
    assert clock.beat_at(12000) == 1
    assert clock.beat_at(24000) == 2
    assert clock.beat_at(48000) == 3
    clock.tempo(120, 12000)  # before the last change: moves up to it
    assert clock.beat_at(36000) == 3


@given(st.lists(st.tuples(st.floats(40, 220), st.integers(0, 10**6)), max_size=20))
def test_beats_never_go_back(changes: list[tuple[float, int]]) -> None:
    clock = BeatClock(RATE, 100)
    for bpm, sample in changes:
        clock.tempo(bpm, sample)
    beats = [clock.beat_at(sample) for sample in range(0, 10**6, 24999)]
    assert beats == sorted(beats)


def test_a_downbeat_moves_the_nearest_bar_here() -> None:
    clock = BeatClock(RATE, 120)
    clock.tempo(90, 60000)
    clock.downbeat(50000)
    assert clock.bpm == 90
    assert clock.beat_at(50000) == 4
    assert clock.bar_at(50000) == 2


@pytest.mark.parametrize(("bpm", "beats"), [(0, 4), (float("nan"), 4), (120, 0)])
def test_no_clock_without_a_tempo(bpm: float, beats: int) -> None:
    with pytest.raises(UsageError, match="beat clock"):
        BeatClock(RATE, bpm, beats)


def test_where_a_beat_will_sound() -> None:
    clock = BeatClock(RATE, 120)
    assert clock.sample_of(4, 0) == 48000
    assert clock.sample_of(4, 30000) == 48000
    assert clock.sample_of(1, 30000) == 30000  # it has sounded
