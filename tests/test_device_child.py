from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from portaudio import FakePortAudio
from sound_server import SoundServer

from engine.controls import Controls
from engine.errors import DeviceError
from engine.sinks.device_child import Order, Player, usual_channels
from engine.sinks.device_list import Device, outputs
from engine.sinks.device_memory import Memory, SharedRing
from engine.spec import AudioSpec

AUDIO = AudioSpec(24000, 1)


def ordered(
    library: FakePortAudio, audio: AudioSpec = AUDIO, channels: tuple[int, ...] = (),
    cushion_s: float = 0.0,
) -> Order:  # fmt: skip
    return Order(outputs(library)[1], audio, channels, cushion_s)


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


def filled(samples: np.ndarray) -> Memory:
    memory = Memory(24000, samples.shape[1])
    assert SharedRing(memory).write(samples.astype(np.float32))
    return memory


# ---- the callback ---------------------------------------------------------------------------


def test_the_callback_plays_the_ring_and_counts_what_was_missing() -> None:
    library, memory = FakePortAudio(), filled(ramp(1, 500))
    Player(ordered(library), memory, library)
    np.testing.assert_array_equal(library.call(300)[128:], ramp(129, 172) * [1, 1])
    late = library.call(300, underflow=True)
    np.testing.assert_array_equal(late[:200], ramp(301, 200) * [1, 1])
    assert late[-1, 0] != 0
    assert not library.call(300)[128:].any()
    head = memory.head
    assert (head.callbacks, head.underflows, head.shortfalls) == (3, 1, 1)
    assert head.shortfall_samples == 400
    assert head.longest_s == 300 / 24000
    assert time.monotonic() - head.heard_s < 60
    assert head.latency_s == 0.01


def test_hands_act_in_the_callback(controls: Controls) -> None:
    library, memory = FakePortAudio(), filled(np.ones((20000, 1)))
    Player(ordered(library), memory, library)
    assert (library.call(480)[128:] == 1).all()
    controls.set("panic", 1)
    memory.show(controls.snapshot())
    heard = library.call(480)[:, 0]
    assert np.abs(np.diff(heard, prepend=1.0)).max() < 0.02  # a ramp, no step
    assert not heard[130:].any()


@pytest.mark.parametrize(("hand", "value"), [("mute", 1.0), ("fade", 60.0), ("panic", 1.0)])
def test_what_was_silent_when_the_device_was_lost_stays_silent(
    controls: Controls, hand: str, value: float
) -> None:
    library, memory = FakePortAudio(), filled(np.ones((20000, 1)))
    controls.set(hand, value)
    memory.show(controls.snapshot())
    Player(ordered(library), memory, library)
    assert not library.call(4800).any()


def test_who_leaves_falls_silent_first() -> None:
    library, memory = FakePortAudio(), filled(np.ones((20000, 1)))
    player = Player(ordered(library), memory, library)
    library.call(480)
    memory.head.leaving = 1
    heard = library.call(480)[:, 0]
    assert np.abs(np.diff(heard, prepend=1.0)).max() < 0.02
    assert heard[-1] == 0
    player.leave()
    assert library.closed


def test_long_callbacks_are_served_in_pieces() -> None:
    library, memory = FakePortAudio(), filled(ramp(0, 20000))
    Player(ordered(library), memory, library)
    np.testing.assert_array_equal(library.call(20000)[128:, 0], ramp(128, 19872)[:, 0])


def test_another_rate_is_resampled() -> None:
    library = FakePortAudio(rates=(48000,))
    memory = filled(np.sin(2 * np.pi * 440 * np.arange(22000) / 24000)[:, None])
    player = Player(ordered(library), memory, library)
    assert player.rate_hz == 48000
    heard, deadline = np.zeros((0, 2), np.float32), time.monotonic() + 30
    while heard.shape[0] < 36000 and time.monotonic() < deadline:
        if player._ring.fill_samples >= 480:
            heard = np.concatenate([heard, library.call(480)])
    steady = heard[4000:36000, 0]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert abs(np.argmax(spectrum) * 48000 / len(steady) - 440) < 2
    assert abs(np.sqrt(np.mean(steady**2)) - np.sqrt(0.5)) < 0.01
    player.leave()


# ---- channels -------------------------------------------------------------------------------


@given(
    channels=st.lists(st.integers(1, 8), min_size=1, max_size=8, unique=True).map(tuple),
    music=st.integers(1, 2),
)
def test_music_goes_to_the_channels_asked_for_and_no_others(
    channels: tuple[int, ...], music: int
) -> None:
    library = FakePortAudio(channels=8)
    memory = filled(np.tile([0.5, 0.25][:music], (20000, 1)))
    Player(ordered(library, AudioSpec(24000, music), channels), memory, library)
    library.call(480)
    heard = library.call(480)
    assert heard.shape[1] == max(channels)
    expected = np.zeros(max(channels))
    for place, channel in enumerate(channels):
        expected[channel - 1] = [0.5, 0.25][place % music]
    if len(channels) < music:
        expected[channels[0] - 1] = 0.375  # mixed
    np.testing.assert_allclose(heard, np.tile(expected, (480, 1)))


def test_usually_the_first_channels_are_taken() -> None:
    assert usual_channels(1, 1) == (1,)
    assert usual_channels(1, 8) == (1, 2)
    assert usual_channels(2, 8) == (1, 2)
    assert usual_channels(2, 1) == (1,)


def test_a_device_that_takes_only_all_its_channels_gets_them() -> None:
    library = FakePortAudio(channels=6)
    check = library.check_output_settings

    def picky(index: int, channels: int, *rest: object) -> None:
        if channels != 6:
            raise RuntimeError("Invalid number of channels")
        check(index, channels, *rest)

    library.check_output_settings = picky  # type: ignore[method-assign]
    memory = filled(np.ones((2000, 1)))
    Player(ordered(library, channels=(3,)), memory, library)
    library.call(480)
    assert library.call(480)[0].tolist() == [0, 0, 1, 0, 0, 0]


# ---- what cannot be opened ------------------------------------------------------------------


def test_a_device_that_takes_no_rate_says_so() -> None:
    library = FakePortAudio(rates=())
    with pytest.raises(DeviceError, match="Invalid sample rate 48000"):
        Player(ordered(library), Memory(100, 1), library)


def test_a_device_that_has_gone_says_so() -> None:
    library = FakePortAudio()
    gone = Device(1, "Headphones", "Fake", 2, 48000, False, (0.0, 0.0))
    with pytest.raises(DeviceError, match="it is not there"):
        Player(Order(gone, AUDIO), Memory(100, 1), library)


def test_a_device_that_came_back_with_fewer_channels_says_so() -> None:
    library = FakePortAudio(channels=2)
    with pytest.raises(DeviceError, match="has channels 1 to 2"):
        Player(ordered(library, channels=(3, 4)), Memory(100, 1), library)


def test_a_device_is_known_by_its_name_when_numbers_change() -> None:
    library = FakePortAudio()
    order = ordered(library)
    library.names = ("New", "Speakers", "Speakers of the hall")
    opened: dict[str, int] = {}
    stream = library.OutputStream
    library.OutputStream = lambda **how: (opened.update(how), stream(**how))[1]  # type: ignore[method-assign]
    Player(order, Memory(100, 1), library)
    assert opened["device"] == 2


# ---- a real PortAudio on JACK's dummy device -------------------------------------------------

EXACT = """
import sys, time
import numpy as np
from engine.sinks.device_child import Order, Player
from engine.sinks.device_list import outputs, portaudio
from engine.sinks.device_memory import Memory, SharedRing
from engine.spec import AudioSpec

rate_hz, wanted = int(sys.argv[1]), 24000
memory, heard = Memory(wanted, 1), []
SharedRing(memory).write(np.arange(1, wanted + 1, dtype=np.float32)[:, None])
inner = Player._fill
def fill(player, out):
    inner(player, out)
    heard.append(out[:, 0].copy())
Player._fill = fill
library = portaudio()
player = Player(Order(outputs(library)[0], AudioSpec(rate_hz, 1)), memory, library)
deadline = time.monotonic() + 60
while memory.head.shortfalls == 0 and time.monotonic() < deadline:
    time.sleep(0.05)
player.leave()
audio = np.concatenate(heard)
audio = audio[np.flatnonzero(audio)[0] - 1:][128:wanted]  # faded in, and the first by 0
expected = np.arange(129, wanted + 1)
exact = len(audio) == len(expected) and bool((audio == expected).all())
print(player.rate_hz, memory.head.callbacks, exact)
"""


@pytest.mark.parametrize("rate_hz", [24000, 16000])
def test_on_jack_every_sample_of_the_ring_is_played(rate_hz: int) -> None:
    with SoundServer(rate_hz=24000) as server:
        out, errors = server.run(EXACT, str(rate_hz)).communicate(timeout=120)
    assert out, errors
    rate, callbacks, exact = out.split()
    assert (rate, exact) == ("24000", str(rate_hz == 24000))
    assert int(callbacks) >= 100
