from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import portaudio
import pytest
from sound_server import SoundServer

from engine.controls import Controls
from engine.errors import DeviceError
from engine.ring import AudioRing
from engine.sinks import device, device_list
from engine.sinks.device import DeviceSink
from engine.spec import AudioSpec

AUDIO = AudioSpec(24000, 1)


def ones(count: int) -> np.ndarray:
    return np.ones((count, 1), np.float32)


def wait(until: Callable[[], object], within_s: float = 60.0) -> float:
    """How long it took."""
    began_s = time.monotonic()
    while not until():
        assert time.monotonic() - began_s < within_s
        time.sleep(0.005)
    return time.monotonic() - began_s


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Has another PortAudio played, in children."""
    return lambda other: monkeypatch.setattr(device_list, "portaudio", other)


# ---- two outputs that are paced --------------------------------------------------------------


def test_it_takes_the_ring_as_fast_as_the_device_plays(library: Callable[..., None]) -> None:
    library(portaudio.steady)
    ring = AudioRing(240000, 1)
    ring.write(ones(240000))
    with DeviceSink(AUDIO, ring=ring) as sink:
        wait(lambda: sink.status().callbacks >= 50)
        status = sink.status()
        played = status.callbacks * 240
        assert played <= ring.read_samples + 240 <= played + 4800
    assert (status.name, status.playing, status.sample_rate_hz) == (
        "Speakers of the hall", True, 24000
    )  # fmt: skip
    assert (status.restarts, status.latency_s, status.trouble) == (0, 0.01, "")
    assert status.describe() == "device 10 ms"
    assert replace(status, shortfalls=2, underflows=3).describe() == "device 10 ms, 2 dry, 3 late"
    assert "sounddevice" not in sys.modules  # PortAudio lives in the child only


def test_pushed_audio_waits_for_a_cushion_then_flows(library: Callable[..., None]) -> None:
    library(portaudio.steady)
    with DeviceSink(AUDIO, "Speakers") as sink:
        child = sink._keeper.playing
        assert child is not None
        sink.play(ones(2400))
        before = sink.status().callbacks
        wait(lambda: sink.status().callbacks >= before + 10)
        assert child.ring.read_samples == 0
        sink.play(ones(2400))
        wait(lambda: child.ring.read_samples == 4800)
        for _ in range(20):
            sink.play(ones(2400))
        assert sink.status().dropped_packets > 0


def test_hands_go_to_the_device(library: Callable[..., None], controls: Controls) -> None:
    library(portaudio.steady)
    with DeviceSink(AUDIO, ring=AudioRing(2400, 1), controls=controls) as sink:
        assert sink._keeper.child is not None
        head = sink._keeper.child.memory.head
        controls.update({"gain_db": -6, "panic": 1})
        wait(lambda: head.panic == 1 and head.gain_db == -6)


def test_pushed_audio_is_silenced_at_the_device_but_not_scaled_twice(
    library: Callable[..., None], controls: Controls
) -> None:
    library(portaudio.steady)
    with DeviceSink(AUDIO, controls=controls) as sink:
        assert sink._keeper.child is not None
        head = sink._keeper.child.memory.head
        controls.update({"gain_db": -6, "mute": 1})
        wait(lambda: head.mute == 1)
        assert head.gain_db == 0


def test_who_is_patient_waits_for_a_device_that_is_away(
    library: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library(portaudio.steady)
    found, back = device_list.find_device(), tmp_path / "back"
    library(partial(portaudio.away_until, back))
    back.with_suffix(".begun").touch()
    ring = AudioRing(240000, 1)
    ring.write(ones(240000))
    with DeviceSink(AUDIO, found, ring=ring, patient=True) as sink:
        wait(lambda: sink.status().trouble == "it is not there")
        assert not sink.status().playing
        wait(lambda: ring.read_samples > 4800)
        back.touch()
        wait(lambda: sink.status().callbacks > 10)
        assert sink.status().restarts == 0
    (told,) = (record.message for record in caplog.records)
    assert told == "Speakers of the hall does not play yet: it is not there"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (portaudio.none, "no sound output"),
        (portaudio.refusing, "Speakers of the hall cannot be used: Invalid sample rate"),
    ],
)
def test_no_device_names_the_alternatives(
    library: Callable[..., None], other: Callable[[], Any], words: str
) -> None:
    library(other)
    with (
        pytest.raises(DeviceError, match=rf"{words}.*perpetuo serve.*perpetuo render") as error,
        DeviceSink(AUDIO),
    ):
        pass
    assert error.value.exit_code == 4


def test_channels_that_are_not_there_are_refused(library: Callable[..., None]) -> None:
    library(portaudio.steady)
    with pytest.raises(DeviceError, match="channels 1 to 2"):
        DeviceSink(AUDIO, channels=(3, 4))


def test_a_device_that_does_not_begin_is_given_up(
    library: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    library(portaudio.steady)
    found = device_list.find_device()
    library(portaudio.hanging)
    monkeypatch.setattr(device, "START_S", 1.0)
    with (
        pytest.raises(DeviceError, match="did not begin to play within 1 s"),
        DeviceSink(AUDIO, found),
    ):
        pass


def test_a_device_whose_first_process_crashes_has_a_second_chance(
    library: Callable[..., None], tmp_path: Path
) -> None:
    library(portaudio.steady)
    found = device_list.find_device()
    library(partial(portaudio.crashing_once, tmp_path / "crashed"))
    with DeviceSink(AUDIO, found) as sink:
        assert sink.status().restarts == 1
    library(portaudio.crashing)
    with pytest.raises(DeviceError, match="ended with -11"), DeviceSink(AUDIO, found):
        pass


def test_while_the_device_is_lost_the_music_goes_on(
    library: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    back = tmp_path / "back"
    library(portaudio.steady)
    found = device_list.find_device()
    library(partial(portaudio.away_until, back))
    ring = AudioRing(480000, 1)
    ring.write(ones(480000))
    with DeviceSink(AUDIO, found, ring=ring) as sink:
        wait(lambda: not sink.status().playing)
        assert sink.status().describe() == "Speakers of the hall is lost and looked for"
        began_s, before = time.monotonic(), ring.read_samples
        wait(lambda: ring.read_samples > before + 24000)
        assert time.monotonic() - began_s > 0.5  # at its own pace
        sink.play(ones(2400))
        assert sink.status().dropped_packets == 1
        back.touch()
        wait(lambda: sink.status().playing)
        heard = sink.status().callbacks
        wait(lambda: sink.status().callbacks > heard + 10)
        assert re.fullmatch(r"device 10 ms(, \d+ dry)?, 1 restarts", sink.status().describe())


# ---- a real PortAudio on JACK's dummy device -------------------------------------------------

PLAY = """
import json, os, sys, time
import numpy as np
from engine.backends import standin
from engine.controls import Controls
from engine.ring import AudioRing
from engine.sinks.device import DeviceSink
from engine.spec import AudioSpec

def main():
    controls = Controls(standin.bundle().manifest.controls)
    ring = AudioRing(24000 * 120, 1)
    phase = 2 * np.pi * 440 * np.arange(ring.capacity_samples) / 24000
    ring.write((0.5 * np.sin(phase)).astype(np.float32)[:, None])
    with DeviceSink(AudioSpec(24000, 1), ring=ring, controls=controls, channels=(3, 4)) as sink:
        for line in sys.stdin:
            for name, value in json.loads(line).items():
                controls.set(name, value)
            status = sink.status()
            print(json.dumps({
                "now_s": time.monotonic(), "read": ring.read_samples, "playing": status.playing,
                "callbacks": status.callbacks, "restarts": status.restarts,
                "child": getattr(getattr(sink._keeper.child, "_process", None), "pid", 0),
                "latency_s": status.latency_s, "rate_hz": status.sample_rate_hz,
            }), flush=True)
    print("closed", flush=True)

if __name__ == "__main__":
    main()
"""

RECORD = """
import sys, time
import numpy as np
import sounddevice

# JACK shows who plays as a device of its own.
playing = [d for d in sounddevice.query_devices() if d["name"].startswith("PortAudio")][0]
loud = [None]
def hear(audio, *_):
    now = bool(np.abs(audio[:, 2]).max() > 0.01), bool(np.abs(audio[:, 3]).max() > 0.01)
    now = (*now, bool(np.abs(audio[:, :2]).max() > 0))
    if now != loud[0]:
        loud[0] = now
        print(time.monotonic(), *map(int, now), flush=True)
with sounddevice.InputStream(
    device=playing["index"], channels=playing["max_input_channels"], callback=hear
):
    sys.stdin.read()
"""


class Player:
    """A process that plays on JACK, and answers."""

    def __init__(self, server: SoundServer, script: Path) -> None:
        script.write_text(PLAY)
        self.process = server.command(sys.executable, str(script))
        self.start = self.ask()

    def ask(self, **controls: float) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(controls) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.process.communicate()
        return dict(json.loads(answer))

    def wait(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        wait(lambda: until(self.ask()))
        return self.ask()


@pytest.fixture
def server() -> Iterator[SoundServer]:
    with SoundServer(rate_hz=48000, channels=8) as server:
        yield server


@pytest.fixture
def player(server: SoundServer, tmp_path: Path) -> Iterator[Player]:
    player = Player(server, tmp_path / "play.py")
    try:
        yield player
    finally:
        player.process.kill()
        player.process.communicate()


def end(player: Player) -> str:
    """What it said on stderr."""
    out, errors = player.process.communicate(timeout=60)
    assert (out, player.process.returncode) == ("closed\n", 0), errors
    return str(errors)


def test_on_jack_music_and_hands_are_heard_on_the_channels_asked_for(
    server: SoundServer, player: Player
) -> None:
    assert player.start["rate_hz"] == 48000  # resampled
    assert 0 < player.start["latency_s"] < 1
    player.wait(lambda now: now["callbacks"] > 20)
    recorder = server.run(RECORD)
    assert recorder.stdout is not None

    def heard() -> tuple[float, list[str]]:
        assert recorder.stdout is not None
        line = recorder.stdout.readline()
        assert line, recorder.communicate()
        return float(line.split()[0]), line.split()[1:]

    while (now := heard())[1] != ["1", "1", "0"]:  # connected one after the other
        assert now[1][2] == "0"
    asked_s = player.ask(panic=1)["now_s"]
    silent_s, levels = heard()
    assert levels == ["0", "0", "0"]
    print(f"panic to silence, as recorded: {1000 * (silent_s - asked_s):.0f} ms")
    player.ask(panic=0)
    assert heard()[1] == ["1", "1", "0"]
    recorder.communicate("")
    assert end(player) == ""


def test_on_jack_the_sound_is_back_after_the_server_was_killed(
    server: SoundServer, player: Player
) -> None:
    player.wait(lambda now: now["callbacks"] > 20)
    server.kill()
    lost = player.wait(lambda now: not now["playing"])
    on = player.wait(lambda now: now["read"] > lost["read"] + 24000)  # the music goes on
    server.start()
    began_s = time.monotonic()
    player.wait(lambda now: now["callbacks"] > on["callbacks"] + 20)
    print(f"sound {time.monotonic() - began_s:.2f} s after the sound server began to start")
    back = player.ask()
    player.wait(lambda now: now["read"] > back["read"] + 4800)
    assert back["restarts"] >= 1
    errors = end(player)
    assert "is lost" in errors and "plays again" in errors and "Traceback" not in errors


def test_on_jack_a_killed_child_is_replaced(player: Player) -> None:
    before = player.wait(lambda now: now["callbacks"] > 20)
    os.kill(before["child"], signal.SIGKILL)
    began_s = time.monotonic()
    back = player.wait(lambda now: now["restarts"] == 1 and now["playing"])
    player.wait(lambda now: now["callbacks"] > back["callbacks"] + 20)
    print(f"sound {time.monotonic() - began_s:.2f} s after its process was killed")
    end(player)


def test_on_jack_a_dead_server_does_not_keep_the_process_from_ending(
    server: SoundServer, player: Player
) -> None:
    player.wait(lambda now: now["callbacks"] > 20)
    server.kill()
    assert "Traceback" not in end(player)


def test_on_jack_the_child_ends_with_a_parent_that_was_killed(player: Player) -> None:
    child = player.wait(lambda now: now["callbacks"] > 20)["child"]
    player.process.kill()
    wait(lambda: subprocess.run(["ps", "-p", str(child)], stdout=subprocess.DEVNULL).returncode)
