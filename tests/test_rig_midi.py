import random

import mido
import pytest

from engine.controls import default_controls, prompting_controls
from engine.rig.midi import MidiReader, TempoMeter
from engine.rig.orders import (
    Downbeat,
    Fire,
    Learned,
    Panic,
    Recall,
    SetControls,
    Tell,
    Tempo,
)
from engine.rig.show import Cue, Knob, Note
from engine.spec import LadderSpec

SPECS = {spec.name: spec for spec in (*default_controls(LadderSpec(10)), *prompting_controls(512))}


def cc(control: int, value: int, channel: int = 1) -> mido.Message:
    return mido.Message("control_change", control=control, value=value, channel=channel - 1)


def reader(**more) -> MidiReader:
    return MidiReader(SPECS, [Knob("density", 20, 1)], ["calm", "wild"], **more)


@pytest.mark.parametrize("controller", [120, 123])
def test_all_sound_off_and_all_notes_off_are_panic(controller: int) -> None:
    assert reader().read(cc(controller, 0, channel=9), {}, 0.0) == [Panic()]


@pytest.mark.parametrize("controller", [121, 122, 124, 127])
def test_other_channel_modes_are_no_knobs(controller: int) -> None:
    midi = reader()
    midi.learn("bpm")
    assert midi.read(cc(controller, 0), {}, 0.0) == []


def test_a_program_change_recalls_the_scene_of_its_number() -> None:
    assert reader().read(mido.Message("program_change", program=1), {}, 0.0) == [Recall("wild")]
    (told,) = reader().read(mido.Message("program_change", program=2), {}, 0.0)
    assert told == Tell("program 2: the show has 2 scenes, from 0")


def test_notes_fire_the_cues_of_their_channel() -> None:
    cues = [Cue("a", "calm", note=Note(36, 10)), Cue("b", "wild", note=Note(36)), Cue("c", "calm")]
    midi = reader(cues=cues)
    on = mido.Message("note_on", note=36, velocity=90, channel=9)
    assert midi.read(on, {}, 0.0) == [Fire("a"), Fire("b")]
    assert midi.read(on.copy(channel=0), {}, 0.0) == [Fire("b")]
    assert midi.read(on.copy(velocity=0), {}, 0.0) == []


def test_a_knob_moves_nothing_until_it_comes_by() -> None:
    midi, values = reader(), {"density": 0.5}
    for value in (0, 30, 60):
        assert midi.read(cc(20, value), values, 0.0) == []
    (order,) = midi.read(cc(20, 64), values, 0.0)
    assert order == SetControls({"density": pytest.approx(64 / 127)})
    (order,) = midi.read(cc(20, 127), {"density": 64 / 127}, 0.0)
    assert order == SetControls({"density": 1.0})


def test_a_knob_that_jumps_across_its_control_has_caught_it() -> None:
    midi, values = reader(), {"density": 0.5}
    assert midi.read(cc(20, 10), values, 0.0) == []
    assert midi.read(cc(20, 120), values, 0.0) == [SetControls({"density": 120 / 127})]


def test_a_control_that_somebody_else_moved_must_be_caught_again() -> None:
    midi = reader()
    assert midi.read(cc(20, 64), {"density": 64 / 127}, 0.0)
    assert midi.read(cc(20, 70), {"density": 64 / 127}, 0.0)
    assert midi.read(cc(20, 75), {"density": 0.1}, 0.0) == []
    assert midi.read(cc(20, 13), {"density": 0.1}, 0.0)


def test_a_change_that_waits_for_its_bar_does_not_lose_the_knob() -> None:
    midi, waiting = reader(), {"density": 64 / 127}
    assert midi.read(cc(20, 64), waiting, 0.0)
    for value in (70, 80, 120):
        assert midi.read(cc(20, value), waiting, 0.0) == [SetControls({"density": value / 127})]


def test_a_free_control_is_taken_at_once() -> None:
    assert reader().read(cc(20, 100), {"density": None}, 0.0) == [
        SetControls({"density": 100 / 127})
    ]


def test_a_knob_of_another_channel_is_another_knob() -> None:
    assert reader().read(cc(20, 100, channel=2), {"density": None}, 0.0) == []


def test_learning_binds_the_next_knob_and_frees_what_it_moved_before() -> None:
    midi = reader()
    midi.learn("gain_db")
    assert midi.read(cc(20, 127), {"gain_db": 0.0}, 0.0) == [
        Learned("gain_db", 20, 1),
        SetControls({"gain_db": 6.0}),
    ]
    assert midi.knobs == [Knob("gain_db", 20, 1)]
    midi.learn("gain_db")
    midi.learn(None)
    assert midi.read(cc(21, 127), {}, 0.0) == []


def test_start_is_a_downbeat_and_the_rest_is_ignored() -> None:
    midi = reader()
    assert midi.read(mido.Message("start"), {}, 0.0) == [Downbeat()]
    for kind in ("stop", "continue", "pitchwheel", "aftertouch", "sysex", "songpos"):
        assert midi.read(mido.Message(kind), {}, 0.0) == []


@pytest.mark.parametrize("bpm", [60.0, 97.5, 180.0])
def test_the_clock_tells_the_tempo_through_its_jitter(bpm: float) -> None:
    midi, chance = reader(), random.Random(1)
    told = []
    for n in range(24 * 16):
        now_s = n * 60 / bpm / 24 + chance.gauss(0, 0.001)
        told += midi.read(mido.Message("clock"), {}, now_s)
    tempos = [order.bpm for order in told if isinstance(order, Tempo)]
    assert 1 <= len(tempos) <= 4
    assert tempos[-1] == pytest.approx(bpm, rel=0.005)


def test_a_change_of_tempo_is_followed_and_a_steady_one_told_once() -> None:
    meter, now_s, told = TempoMeter(), 0.0, []
    for bpm in (120, 140):
        for _ in range(24 * 12):
            now_s += 60 / bpm / 24
            if (tempo := meter.tick(now_s)) is not None:
                told.append(tempo)
    assert told[0] == 120
    assert told[-1] == pytest.approx(140, rel=0.004)
    assert len(told) <= 6


def test_a_clock_that_was_away_is_measured_anew() -> None:
    meter = TempoMeter()
    for n in range(100):
        meter.tick(n * 0.02)
    assert meter.tick(60.0) is None
    told = [meter.tick(60.0 + n * 0.025) for n in range(1, 40)]
    assert [tempo for tempo in told if tempo] == [100.0]
