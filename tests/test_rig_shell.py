import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from engine.bundle import Bundle
from engine.controls import Controls
from engine.rig.desk import Desk
from engine.rig.ports import OscPort
from engine.rig.recorder import Recorder
from engine.rig.shell import Around, Rig
from engine.rig.show import Cue, Knob, Note, Scene, Show
from engine.spec import AudioSpec
from engine.status import RunnerStatus
from tests.rigging import Remote, until

SHOW = Show(
    {"calm": Scene({"bpm": 60.0}), "wild": Scene({"bpm": 180.0})},
    (Cue("drop", "wild", osc="/drop"), Cue("key", "calm", note=Note(36))),
    (Knob("density", 20),),
)
STATUS = RunnerStatus(fill_samples=12000, last_tick_s=0.02, budget_s=0.08)


class Stage:
    """A rig, its remote, and a place in the music that the test moves."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.controls = Controls(bundle.manifest.controls)
        self.desk = Desk(self.controls, 24000, show=SHOW, embed=lambda _: np.ones(1, np.float32))
        self.port = OscPort("127.0.0.1", 0)
        self.recorder = Recorder(AudioSpec(24000, 1))
        self.said: list[str] = []
        self.rig = Rig(
            self.desk, 24000, osc=self.port, recorder=self.recorder, say=self.said.append
        )
        self.played = 0
        self.remote = Remote(self.port.port)
        self.rig.start(Around(lambda: self.played, lambda: STATUS, lambda: 3, folder))

    def value(self, name: str) -> float | None:
        return self.controls.snapshot().values[name]


@contextmanager
def playing(bundle: Bundle, folder: Path) -> Iterator[Stage]:
    stage = Stage(bundle, folder)
    try:
        yield stage
    finally:
        stage.rig.stop()
        stage.remote.close()


@pytest.fixture
def stage(asked_bundle: Bundle, tmp_path: Path) -> Iterator[Stage]:
    with playing(asked_bundle, tmp_path) as found:
        yield found


def test_a_fader_moves_its_control_and_everybody_is_told(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    assert stage.remote.hear("/value/bpm") == ["free"]
    stage.remote.say("/control/density", 0.25)
    assert stage.remote.hear("/control/density", 0.25) == [0.25]
    assert stage.value("density") == 0.25
    stage.controls.set("density", 0.75)  # by the page, say
    assert stage.remote.hear("/control/density", 0.75) == [0.75]


def test_the_meters_the_beat_and_the_pong(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    assert stage.remote.hear("/meter/fill_ms") == [500.0]
    assert stage.remote.hear("/meter/load") == [0.25]
    assert stage.remote.hear("/meter/underruns") == [3]
    stage.played = 13000
    assert stage.remote.hear("/beat") == [1, 2]
    stage.remote.say("/ping")
    assert stage.remote.hear("/pong") == []


def test_scenes_and_cues_by_osc(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    stage.remote.say("/scene/calm")
    assert stage.remote.hear("/scene") == ["calm"]
    assert stage.value("bpm") == 60
    stage.remote.client.send_message("/drop", 1)
    assert stage.remote.hear("/scene") == ["wild"]
    stage.remote.say("/scene/none")
    assert stage.remote.hear("/error") == ["no scene 'none'; there are: calm, wild"]
    until(lambda: stage.said)
    assert stage.said == ["no scene 'none'; there are: calm, wild"]


def test_who_comes_later_is_told_where_the_music_is(stage: Stage) -> None:
    stage.remote.say("/scene/calm")
    until(lambda: stage.value("bpm") == 60)
    stage.remote.say("/subscribe", stage.remote.port)
    assert stage.remote.hear("/scene") == ["calm"]
    assert stage.remote.hear("/value/bpm") == [60]


def test_a_bundle_is_done_at_its_time_and_one_an_hour_ahead_refused(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    density = OscMessageBuilder("/perpetuo/control/density")
    density.add_arg(0.75)
    for ahead_s in (0.3, 3600.0):
        bundle = OscBundleBuilder(time.time() + ahead_s)
        bundle.add_content(density.build())
        stage.remote.client.send(bundle.build())
    (line,) = stage.remote.hear("/error")
    assert "3,600 s ahead, at most 60 s: refused" in line
    assert stage.value("density") is None
    assert stage.remote.hear("/control/density", 0.75)
    assert stage.controls.snapshot().revision == 1


def test_of_a_flood_the_newest_value_wins(stage: Stage) -> None:
    for n in range(20_000):
        stage.remote.say("/control/density", (n % 997) / 1000)
    for _ in range(50):  # UDP may lose what a flooded socket has no room for
        stage.remote.say("/control/density", 0.5)
        time.sleep(0.002)
    until(lambda: stage.value("density") == 0.5)
    assert stage.controls.snapshot().revision < 20_000 / 4
    stage.remote.say("/subscribe", stage.remote.port)
    stage.remote.say("/ping")
    assert stage.remote.hear("/pong") == []


def test_too_many_buttons_at_once_are_told_as_rate_limited(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    stage.remote.hear("/value/bpm")
    for n in range(5000):
        stage.remote.say(f"/store/{n}")
    while not (line := stage.remote.hear("/error")[0]).startswith("rate_limited"):
        pass
    assert "OSC messages too many were dropped" in line


def test_rubbish_is_survived(stage: Stage) -> None:
    for rubbish in (b"\xff" * 100, b"#bundle\0" + bytes(12), b"/perpetuo/nothing\0\0\0"):
        stage.remote.client._sock.sendto(rubbish, ("127.0.0.1", stage.port.port))
    stage.remote.say("/control/density", 1.0)
    until(lambda: stage.value("density") == 1.0)
    until(lambda: len(stage.said) == 3)


def test_midi_messages_reach_the_controls(stage: Stage) -> None:
    stage.rig.midi(mido.Message("control_change", control=20, value=127))
    until(lambda: stage.value("density") == 1.0)
    stage.rig.midi(mido.Message("program_change", program=1))
    until(lambda: stage.value("bpm") == 180)
    stage.rig.midi(mido.Message("note_on", note=36, velocity=1))
    until(lambda: stage.value("bpm") == 60)
    stage.rig.midi(mido.Message("control_change", control=123, value=0))
    until(lambda: stage.value("panic") == 1)


def test_a_knob_is_learned_by_osc_and_a_midi_hand(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    stage.remote.say("/learn", "gain_db")
    until(lambda: stage.rig._midi._learning == "gain_db")
    stage.rig.midi(mido.Message("control_change", control=7, value=0, channel=2))
    assert stage.remote.hear("/learned") == ["gain_db", 7, 3]
    until(lambda: stage.value("gain_db") == -60)


def test_a_scene_that_was_just_stored_has_a_program(stage: Stage) -> None:
    stage.remote.say("/value/bpm", 99)
    stage.remote.say("/store/third")
    until(lambda: "third" in stage.desk.show.scenes)
    stage.remote.say("/free/bpm")
    until(lambda: stage.value("bpm") is None)
    stage.rig.midi(mido.Message("program_change", program=2))
    until(lambda: stage.value("bpm") == 99)


def test_recordings_are_begun_and_ended_by_osc(stage: Stage, tmp_path: Path) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    assert stage.remote.hear("/record") == [0]  # how it stands
    stage.remote.say("/record", 1)
    assert stage.remote.hear("/record") == [1]
    stage.recorder.take(np.full((6000, 1), 0.25, np.float32))
    stage.remote.say("/record", 0)
    assert stage.remote.hear("/record") == [0]
    (path,) = tmp_path.glob("*.flac")
    assert soundfile.info(path).frames == 6000


def test_a_recording_that_ends_by_itself_is_told(stage: Stage) -> None:
    stage.remote.say("/subscribe", stage.remote.port)
    stage.remote.hear("/value/bpm")
    stage.recorder.trouble = "out.flac ends at 9 samples: No space left on device"
    assert stage.remote.hear("/error") == [stage.recorder.trouble]
