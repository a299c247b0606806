"""The process that plays on a sound device: it takes audio, hands and orders from shared memory.

The callback copies, fills the rest and counts; it never waits, logs or runs a model. Its time is
the life sign: when a sound server dies, PortAudio raises nothing, the calls just end. Where the
device refuses the audio's rate, a thread resamples. As long as the device is not there it is
looked for; whoever waits is told why.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

import numpy as np

from engine.controls import ControlSnapshot
from engine.errors import DeviceError
from engine.hands import Hands
from engine.ring import AudioRing
from engine.session import Floats
from engine.sinks.device_list import Device, check_channels, outputs
from engine.sinks.device_memory import CushionedRing, Memory, SharedHands
from engine.sinks.device_pump import BLOCK_S, Pump
from engine.spec import AudioSpec

LATENCY_S = 0.03
MOST_SAMPLES = 8192
"""The longest callback that is served in one piece."""

SETTLE_S = 60.0
"""The longest fade: hands that were set before the device was opened have had their effect."""

LOOK_S = 0.3
"""Between two looks for a device that is not there."""

WATCH_S = 0.02
FAREWELL_S = 0.25
SWITCH_S = 0.0005
"""Python's thread switching interval: its 5 ms would delay the callback."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to play on. `channels` count from 1; none: the first ones."""

    device: Device
    audio: AudioSpec
    channels: tuple[int, ...] = ()
    cushion_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream has begun."""

    name: str
    sample_rate_hz: int


def play(order: Order, memory: Memory, library: Callable[[], Any], told: Connection) -> None:
    """Play until the parent has gone, or asks to leave. Tells Opened, or why it cannot be."""
    sys.setswitchinterval(SWITCH_S)
    try:
        player = _opened(order, memory, library(), told)
        told.send(Opened(order.device.name, player.rate_hz))
        while not memory.head.leaving and _wanted():
            player.look()
            time.sleep(WATCH_S)
        player.leave()
    except Exception as error:
        told.send(str(error))
    os._exit(0)  # PortAudio's farewell could hang


def _opened(order: Order, memory: Memory, sounddevice: Any, told: Connection) -> Player:
    """The player, once the device is there."""
    while True:
        memory.head.heard_s = monotonic()
        try:
            return Player(order, memory, sounddevice)
        except DeviceError as error:
            told.send(str(error))
        time.sleep(LOOK_S)
        if memory.head.leaving or not _wanted():
            os._exit(0)
        sounddevice._terminate()
        sounddevice._initialize()


def _wanted() -> bool:
    parent = parent_process()
    return parent is None or parent.is_alive()


class Player:
    """An open stream, and what its callback needs. DeviceError says why it cannot be opened."""

    def __init__(self, order: Order, memory: Memory, sounddevice: Any) -> None:
        audio = order.audio
        self._head = memory.head
        device = _found(order.device, outputs(sounddevice))
        check_channels(device, order.channels)
        self._channels = order.channels or usual_channels(audio.channels, device.channels)
        width, self.rate_hz = _settings(sounddevice, device, max(self._channels), audio)
        source = CushionedRing(memory, audio.sample_rate_hz, order.cushion_s)
        self._ring: AudioRing = source
        self._stopping = threading.Event()
        self._pump: Pump | None = None
        if self.rate_hz != audio.sample_rate_hz:
            self._ring = AudioRing(self.rate_hz, audio.channels)
            self._pump = Pump(source, self._ring, audio.sample_rate_hz, self.rate_hz)
            threading.Thread(target=self._resample, name="resample", daemon=True).start()
        self._scratch = np.zeros((MOST_SAMPLES, audio.channels), np.float32)
        self._mixed = np.zeros(MOST_SAMPLES, np.float32)
        self._wishes = ControlSnapshot(0, SharedHands(memory))
        self._hands = Hands(self.rate_hz)
        self._settle()
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=self.rate_hz, device=device.index, channels=width, dtype="float32",
                latency=LATENCY_S, callback=self._callback,
            )  # fmt: skip
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            self._stopping.set()
            raise DeviceError(str(error)) from None
        self.look()

    def look(self) -> None:
        """Read back what the stream says of itself."""
        self._head.latency_s = self._stream.latency

    def leave(self) -> None:
        """Let the hands fall, and close."""
        time.sleep(min(FAREWELL_S, self._stream.latency + 2 * self._head.longest_s))
        self._stopping.set()
        self._stream.close()

    def _settle(self) -> None:
        """Have the hands where they are wanted, so that no ramp leads there from full level."""
        self._hands.process(self._scratch, self._wishes)
        if self._wishes.value("fade", 0.0) > 0:
            for _ in range(round(SETTLE_S * self.rate_hz) // MOST_SAMPLES + 1):
                self._hands.process(self._scratch, self._wishes)

    def _resample(self) -> None:
        assert self._pump is not None
        while not self._stopping.is_set():
            if not self._pump.step(self._head.longest_s):
                self._stopping.wait(BLOCK_S / 2)

    # ---- the device's thread ----------------------------------------------------------------

    def _callback(self, out: Floats, samples: int, _time: Any, flags: Any) -> None:
        """Fill float32[samples, device channels]."""
        head = self._head
        head.heard_s = monotonic()
        head.longest_s = max(head.longest_s, samples / self.rate_hz)
        head.callbacks += 1
        if flags.output_underflow:
            head.underflows += 1
        for start in range(0, samples, MOST_SAMPLES):
            self._fill(out[start : start + MOST_SAMPLES])

    def _fill(self, out: Floats) -> None:
        piece = self._scratch[: out.shape[0]]
        self._ring.read_into(piece)
        self._hands.process(piece, self._wishes)
        out.fill(0.0)
        self._spread(piece, out)

    def _spread(self, piece: Floats, out: Floats) -> None:
        """The music's channels to the device's in turn; mixed where it has more than there are."""
        channels = piece.shape[1]
        if len(self._channels) < channels:
            mixed = self._mixed[: piece.shape[0]]
            np.add.reduce(piece, axis=1, out=mixed)
            mixed /= channels
            piece, channels = mixed[:, None], 1
        for place, channel in enumerate(self._channels):
            out[:, channel - 1] = piece[:, place % channels]


def usual_channels(music: int, device: int) -> tuple[int, ...]:
    """The first ones; mono goes to two."""
    return tuple(range(1, min(max(music, 2), device) + 1))


def _found(wanted: Device, devices: Sequence[Device]) -> Device:
    """That device among those that are there now; numbers change when others come and go."""
    same = [one for one in devices if (one.name, one.host) == (wanted.name, wanted.host)]
    if not same:
        raise DeviceError("it is not there")
    return next((one for one in same if one.index == wanted.index), same[0])


def _settings(sounddevice: Any, device: Device, width: int, audio: AudioSpec) -> tuple[int, int]:
    """Channels and rate to open the device with: the audio's own rate where it takes that."""
    problem = Exception()
    for rate_hz in (audio.sample_rate_hz, device.sample_rate_hz):
        for channels in (width, device.channels):
            try:
                sounddevice.check_output_settings(device.index, channels, "float32", None, rate_hz)
                return channels, rate_hz
            except (sounddevice.PortAudioError, ValueError) as error:
                problem = error
    raise DeviceError(str(problem))
