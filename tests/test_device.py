from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.controls import Controls
from engine.errors import DeviceError
from engine.ring import AudioRing
from engine.sinks import device
from engine.sinks.device import DeviceSink, Resampler, find_device, list_devices
from engine.spec import AudioSpec

AUDIO = AudioSpec(24000, 1)


class FakePortAudio:
    """Two outputs that take `rates`; the test is the device's thread."""

    def __init__(self, rates: tuple[int, ...] = (24000,), names: tuple[str, ...] = ()) -> None:
        self.rates = rates
        self.names = names or ("Speakers", "Speakers of the hall")
        self.default = SimpleNamespace(device=(-1, 1))
        self.PortAudioError = RuntimeError
        self.callback: Callable[..., None] | None = None

    def query_hostapis(self) -> list[dict[str, str]]:
        return [{"name": "Fake"}]

    def query_devices(self) -> list[dict[str, Any]]:
        common = {"hostapi": 0, "max_output_channels": 2, "default_samplerate": 48000.0}
        microphone = {**common, "name": "Microphone", "max_output_channels": 0}
        return [*({**common, "name": name} for name in self.names), microphone]

    def check_output_settings(self, *settings: Any) -> None:
        if settings[-1] not in self.rates:
            raise RuntimeError(f"Invalid sample rate {settings[-1]}")

    def OutputStream(self, *, callback: Callable[..., None], **_: Any) -> SimpleNamespace:  # noqa: N802
        self.callback = callback
        return SimpleNamespace(start=lambda: None, close=lambda: None, latency=0.01)

    def call(self, samples: int, underflow: bool = False) -> np.ndarray:
        out = np.full((samples, 2), np.nan, np.float32)
        assert self.callback is not None
        self.callback(out, samples, None, SimpleNamespace(output_underflow=underflow))
        np.testing.assert_array_equal(out[:, 0], out[:, 1])
        return out[:, 0]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setattr(device, "_sounddevice", lambda: fake)
    return fake


@dataclass(frozen=True)
class Jack:
    server: subprocess.Popen[bytes]
    environment: dict[str, str]


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


# ---- which device ---------------------------------------------------------------------------


def test_outputs_are_listed_and_found(fake: FakePortAudio) -> None:
    assert [(found.index, found.default) for found in list_devices()] == [(0, False), (1, True)]
    assert find_device().index == 1
    assert find_device("0").index == 0
    assert find_device("Speakers").index == 0
    assert find_device("HALL").index == 1


@pytest.mark.parametrize("wanted", ["9", "Microphone", "", "speak"])
def test_a_wrong_name_lists_the_right_ones(fake: FakePortAudio, wanted: str) -> None:
    with pytest.raises(DeviceError, match="0: Speakers; 1: Speakers of the hall"):
        find_device(wanted)


def test_no_device_names_the_alternatives(fake: FakePortAudio) -> None:
    fake.query_devices = list  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match=r"perpetuo serve.*perpetuo render") as error:
        DeviceSink(AUDIO)
    assert error.value.exit_code == 4


def test_no_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(DeviceError, match=r"apt install libportaudio2.*perpetuo serve"):
        list_devices()


def test_a_device_that_takes_no_rate_is_one_line(fake: FakePortAudio) -> None:
    fake.rates = ()
    with pytest.raises(DeviceError, match="Speakers of the hall cannot be used: Invalid sample"):
        DeviceSink(AUDIO)


# ---- from a ring ----------------------------------------------------------------------------


def test_the_callback_plays_the_ring_and_counts_what_was_missing(fake: FakePortAudio) -> None:
    ring = AudioRing(1000, 1)
    ring.write(ramp(1, 500))
    with DeviceSink(AUDIO, ring=ring) as sink:
        np.testing.assert_array_equal(fake.call(300), ramp(1, 300)[:, 0])
        late = fake.call(300, underflow=True)
        np.testing.assert_array_equal(late[:200], ramp(301, 200)[:, 0])
        assert late[-1] != 0
        assert not fake.call(300)[128:].any()
        status = sink.status()
    assert (status.callbacks, status.underflows, status.shortfalls) == (3, 1, 1)
    assert ring.shortfall_samples == 400
    assert status.silent_s < 60


def test_hands_act_in_the_callback(fake: FakePortAudio, controls: Controls) -> None:
    ring = AudioRing(24000, 1)
    ring.write(np.ones((20000, 1), np.float32))
    with DeviceSink(AUDIO, ring=ring, controls=controls):
        assert (fake.call(480) == 1).all()
        controls.set("panic", 1)
        heard = fake.call(480)
    assert np.abs(np.diff(heard, prepend=1.0)).max() < 0.02  # a ramp, no step
    assert not heard[130:].any()


def test_long_callbacks_are_served_in_pieces(fake: FakePortAudio) -> None:
    ring = AudioRing(24000, 1)
    ring.write(ramp(0, 20000))
    with DeviceSink(AUDIO, ring=ring):
        np.testing.assert_array_equal(fake.call(20000), ramp(0, 20000)[:, 0])


# ---- pushed ---------------------------------------------------------------------------------


def test_pushed_audio_waits_for_a_cushion_then_flows(fake: FakePortAudio) -> None:
    with DeviceSink(AUDIO) as sink:
        sink.play(ramp(1, 2400))
        assert not fake.call(2400).any()
        sink.play(ramp(2401, 2400))
        heard = fake.call(2400)
        np.testing.assert_array_equal(heard[1:], ramp(1, 2399)[:, 0])
        for _ in range(20):
            sink.play(ramp(0, 2400))
        assert sink.status().dropped_packets > 0


def test_another_rate_is_resampled(fake: FakePortAudio) -> None:
    fake.rates = (48000,)
    ring = AudioRing(24000, 1)
    tone = np.sin(2 * np.pi * 440 * np.arange(24000) / 24000).astype(np.float32)[:, None]
    ring.write(tone)
    heard = np.zeros(0, np.float32)
    with DeviceSink(AUDIO, ring=ring) as sink:
        assert sink.status().sample_rate_hz == 48000
        deadline = time.monotonic() + 30
        while heard.shape[0] < 40000 and time.monotonic() < deadline:
            if sink._ring.fill_samples >= 480:
                heard = np.concatenate([heard, fake.call(480)])
    steady = heard[4000:40000]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert abs(np.argmax(spectrum) * 48000 / len(steady) - 440) < 2
    assert abs(np.sqrt(np.mean(steady**2)) - np.sqrt(0.5)) < 0.01


def test_resampling_ends_with_its_source_and_goes_on_with_it() -> None:
    source = AudioRing(24000, 1)
    resampler = Resampler(source, 24000, 48000)
    assert not resampler.step()
    source.write(np.ones((4800, 1), np.float32))
    while resampler.step():
        pass
    assert resampler.ring.fill_samples >= 2400
    assert source.shortfall_samples == 0
    resampler.ring.read_into(np.zeros((resampler.ring.fill_samples, 1), np.float32))
    source.read_into(np.zeros((source.fill_samples, 1), np.float32))
    assert resampler.step()
    assert source.shortfalls == 1


# ---- a real PortAudio on JACK's dummy device -------------------------------------------------

PLAY = """
import json, sys, time
import numpy as np
from engine.ring import AudioRing
from engine.sinks.device import DeviceSink, list_devices
from engine.spec import AudioSpec

rate_hz, wanted = int(sys.argv[1]), 24000
ring = AudioRing(wanted, 1)
ring.write(np.arange(1, wanted + 1, dtype=np.float32)[:, None])
heard = []
sink = DeviceSink(AudioSpec(rate_hz, 1), ring=ring)
inner = sink._fill
def fill(out):
    inner(out)
    heard.append(out[:, 0].copy())
sink._fill = fill
with sink:
    deadline = time.monotonic() + 60
    while ring.shortfalls == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    status = sink.status()
audio = np.concatenate(heard)
audio = audio[np.flatnonzero(audio)[0]:]
exact = bool((audio[:wanted] == np.arange(1, wanted + 1)).all()) if len(audio) >= wanted else False
print(json.dumps({
    "devices": [found.name for found in list_devices()], "exact": exact,
    "callbacks": status.callbacks, "shortfalls": ring.shortfalls, "rate": status.sample_rate_hz,
}), flush=True)
"""

OUTLIVE = """
import json, sys, time
from engine.ring import AudioRing
from engine.sinks.device import DeviceSink
from engine.spec import AudioSpec

with DeviceSink(AudioSpec(24000, 1), ring=AudioRing(24000, 1)) as sink:
    while sink.callbacks < 10:
        time.sleep(0.05)
    print("playing", flush=True)
    while sink.status().silent_s < 1:
        time.sleep(0.05)
print("closed", flush=True)
"""

LISTED = "from engine.sinks.device import list_devices; raise SystemExit(not list_devices())"

ONE_NAME = "perpetuo-test"
"""JACK remembers eight names of servers that were killed; one of our own is used again."""


@pytest.fixture
def jack() -> Iterator[Jack]:
    """A JACK server without hardware, and the environment in which its clients run."""
    if shutil.which("jackd") is None or find_library("portaudio") is None:
        pytest.skip("needs: apt install --no-install-recommends jackd2 libportaudio2")
    own = {"JACK_NO_AUDIO_RESERVATION": "1", "JACK_NO_START_SERVER": "1"}
    environment = {**os.environ, **own, "JACK_DEFAULT_SERVER": ONE_NAME}
    patience = ["-t", "10000"]  # ms until a client that is late is sent away
    server = subprocess.Popen(
        ["jackd", "-r", "-n", ONE_NAME, *patience, "-d", "dummy", "-r", "24000", "-p", "240"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(60):
            if subprocess.run([sys.executable, "-c", LISTED], env=environment).returncode == 0:
                break
            assert server.poll() is None, "jackd ended; are there leftovers in /dev/shm?"
            time.sleep(0.3)
        yield Jack(server, environment)
    finally:
        server.terminate()
        server.wait(30)


def client(jack: Jack, script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], env=jack.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def play_on_jack(jack: Jack, rate_hz: int) -> dict[str, Any]:
    """What the client tells of a second of audio at that rate."""
    out, errors = client(jack, PLAY, str(rate_hz)).communicate(timeout=120)
    assert out, errors
    return dict(json.loads(out.splitlines()[-1]))


def test_on_jack_every_sample_of_the_ring_is_played(jack: Jack) -> None:
    told = play_on_jack(jack, 24000)
    assert told["devices"] == ["system"]
    assert told["exact"]
    assert told["callbacks"] >= 100
    assert told["shortfalls"] == 1  # the ring was not filled again


def test_on_jack_another_rate_is_resampled(jack: Jack) -> None:
    told = play_on_jack(jack, 16000)
    assert told["rate"] == 24000
    assert told["callbacks"] >= 100


def test_when_the_sound_server_dies_the_process_can_still_end(jack: Jack) -> None:
    """PortAudio raises nothing and hangs in its farewells: the life sign and the exit must work."""
    playing = client(jack, OUTLIVE)
    assert playing.stdout is not None
    assert playing.stdout.readline() == "playing\n"
    jack.server.kill()
    out, errors = playing.communicate(timeout=60)
    assert (out, playing.returncode) == ("closed\n", 0), errors
