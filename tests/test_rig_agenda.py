import pytest

from engine.errors import UsageError
from engine.rig.agenda import MOST_WAITING, Agenda
from engine.rig.beats import BeatClock
from engine.rig.orders import Hush, Panic, Recall, SetControls

CLOCK = BeatClock(24000, 120)


def test_each_side_waits_for_its_own_beat() -> None:
    agenda = Agenda()
    agenda.at_beat("made", 1, Recall("made"))
    agenda.at_beat("played", 1, Recall("played"))
    assert agenda.due("made", 11999, CLOCK) == []
    assert agenda.due("made", 12000, CLOCK) == [Recall("made")]
    assert agenda.due("made", 99999, CLOCK) == []
    assert agenda.due("played", 12000, CLOCK) == [Recall("played")]
    assert len(agenda) == 0


def test_a_beat_that_comes_sooner_by_a_new_tempo_is_met() -> None:
    clock = BeatClock(24000, 60)
    agenda = Agenda()
    agenda.at_beat("made", 4, Hush())
    clock.tempo(120, 24000)
    assert agenda.due("made", 59999, clock) == []
    assert agenda.due("made", 60000, clock) == [Hush()]


def test_samples_and_times() -> None:
    agenda = Agenda()
    agenda.at_sample("played", 500, Hush())
    agenda.at_time(2.0, Recall("b"))
    agenda.at_time(1.0, Recall("a"))
    assert agenda.due_by(0.5) == []
    assert agenda.due_by(2.5) == [Recall("a"), Recall("b")]
    assert agenda.due("played", 499, CLOCK) == []
    assert agenda.due("played", 500, CLOCK) == [Hush()]


def test_a_moving_fader_waits_as_one_change() -> None:
    agenda = Agenda()
    for n in range(5000):
        agenda.at_beat("made", 4, SetControls({"density": n / 5000, "bpm": 90}))
    assert len(agenda) == 1
    (order,) = agenda.due("made", 48000, CLOCK)
    assert order == SetControls({"density": 4999 / 5000, "bpm": 90})


def test_it_is_bounded_and_forgets_a_kind() -> None:
    agenda = Agenda()
    for n in range(MOST_WAITING):
        agenda.at_beat("made", n, Hush() if n % 2 else Panic())
    with pytest.raises(UsageError, match="wait for their beat"):
        agenda.at_time(0, Hush())
    agenda.drop(Hush)
    assert len(agenda) == MOST_WAITING // 2
