"""The sound device: played by a child process that is watched and replaced (`device_keeper`).

Two ways to feed it. `play` (for `serve`): packets are pushed, and the device's clock is followed by
trimming. With `ring` (for `perpetuo play`): audio is taken from the runner's ring as the device
wants it. Hands act in the device's callback, so that one is heard within a step of our thread, its
ramp and the device's buffer. While the device is lost the music goes on, unheard.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self

import numpy as np

from engine.controls import Controls
from engine.errors import DeviceError
from engine.ring import AudioRing
from engine.session import Floats
from engine.sinks.device_child import Order
from engine.sinks.device_keeper import Keeper
from engine.sinks.device_list import INSTEAD, Device, check_channels, find_device
from engine.sinks.device_memory import HANDS, SILENCING
from engine.sinks.device_pump import BLOCK_S
from engine.sinks.trim import Trim
from engine.spec import AudioSpec

PUSH_TARGET_S = 0.15
PULL_CUSHION_S = 0.03
STEP_S = 0.005
START_S = 40.0
STARTS = 2
"""Where the first process hangs or crashes, a second one is given its chance."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """How the device gets on; counts are over all restarts."""

    name: str
    playing: bool
    sample_rate_hz: int  # the device's
    latency_s: float  # of the stream, as the sound system tells it
    callbacks: int
    underflows: int  # callbacks that came too late for the device
    shortfalls: int  # times there was no audio to play
    dropped_packets: int  # pushed while the device did not take them
    restarts: int
    silent_s: float  # since the last life sign
    trouble: str  # what was wrong last

    def fields(self) -> dict[str, object]:
        """For /info."""
        return {
            "name": self.name, "playing": self.playing, "sample_rate_hz": self.sample_rate_hz,
            "latency_ms": round(1000 * self.latency_s, 1), "trouble": self.trouble,
        }  # fmt: skip

    def values(self) -> dict[str, float]:
        """For /metrics."""
        return {
            "device_playing": float(self.playing),
            "device_latency_seconds": self.latency_s,
            "device_silent_seconds": self.silent_s,
            "device_callbacks_total": self.callbacks,
            "device_underflows_total": self.underflows,
            "device_shortfalls_total": self.shortfalls,
            "device_dropped_packets_total": self.dropped_packets,
            "device_restarts_total": self.restarts,
        }

    def describe(self) -> str:
        """For a status line."""
        if not self.playing:
            return f"{self.name} is lost and looked for"
        trouble = {"dry": self.shortfalls, "late": self.underflows, "restarts": self.restarts}
        counted = "".join(f", {count} {name}" for name, count in trouble.items() if count)
        return f"device {1000 * self.latency_s:.0f} ms{counted}"


class DeviceSink:
    """Plays on a device while it is entered. DeviceError says what is wrong and what else to do."""

    def __init__(
        self, audio: AudioSpec, device: Device | str | None = None, *,
        ring: AudioRing | None = None, controls: Controls | None = None,
        channels: Sequence[int] = (), patient: bool = False,
    ) -> None:  # fmt: skip
        """Pull from `ring` and put the hands of `controls` to it, or have audio pushed by `play`.

        Pushed audio has the hands in it; with `controls`, those that silence act here as well, and
        so at once. `channels` are the device's that the music goes to, from 1; none are the first
        ones. Who is `patient` enters although the device is not there yet, or not any more.
        """
        self.device = device if isinstance(device, Device) else find_device(device)
        check_channels(self.device, channels)
        cushion_s = PUSH_TARGET_S if ring is None else PULL_CUSHION_S
        self._keeper = Keeper(Order(self.device, audio, tuple(channels), cushion_s), ring)
        self._source = ring
        self._controls = controls
        self._hands = SILENCING if ring is None else HANDS
        self._patient = patient
        self._complained = False
        self._trim = Trim(audio.sample_rate_hz, audio.channels, PUSH_TARGET_S)
        self._dropped = 0
        self._unheard = np.zeros(
            (round(BLOCK_S * audio.sample_rate_hz), audio.channels), np.float32
        )
        self._played_s = 0.0
        self._begun = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perpetuo-device", daemon=True)

    def __enter__(self) -> Self:
        """Start to play."""
        self._thread.start()
        try:
            if not self._patient:
                self._wait()
        except BaseException:
            self.close()
            raise
        return self

    def _wait(self) -> None:
        self._begun.wait(START_S)
        if self._keeper.playing is None:
            problem = self._keeper.trouble or f"it did not begin to play within {START_S:g} s"
            raise DeviceError(f"{self.device.name} cannot be used: {problem}; {INSTEAD}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Stop and let go of the device; does not hang where the device has died."""
        self._stopping.set()
        self._thread.join()

    def play(self, audio: Floats) -> None:
        """Push float32[samples, channels] at the audio's own pace; never waits."""
        child, count = self._keeper.playing, audio.shape[0]
        if child is None:
            self._dropped += 1
            return
        if child.memory.head.flowing:
            count = self._trim.count(count, child.ring.fill_samples)
        if not child.ring.write(self._trim.stretch(audio, count)):
            self._dropped += 1

    def status(self) -> DeviceStatus:
        """How it goes; any thread may ask."""
        keeper, child = self._keeper, self._keeper.playing
        opened = child.opened if child else None
        missed = self._source.shortfalls if self._source else 0
        return DeviceStatus(
            name=self.device.name,
            playing=child is not None,
            sample_rate_hz=opened.sample_rate_hz if opened else 0,
            latency_s=float(child.memory.head.latency_s) if child else 0.0,
            callbacks=keeper.count("callbacks"),
            underflows=keeper.count("underflows"),
            shortfalls=missed + keeper.count("shortfalls"),
            dropped_packets=self._dropped,
            restarts=keeper.restarts,
            silent_s=monotonic() - child.memory.head.heard_s if child else 0.0,
            trouble=keeper.trouble,
        )

    # ---- the thread that watches and feeds --------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.wait(STEP_S):
                self._step(monotonic())
        finally:
            self._begun.set()
            self._keeper.end()

    def _step(self, now_s: float) -> None:
        keeper = self._keeper
        keeper.watch(now_s)
        if self._patient and keeper.refused and not self._complained and not keeper.lost:
            log.warning("%s does not play yet: %s", self.device.name, keeper.trouble)
            self._complained = True
        if keeper.playing or keeper.refused or keeper.restarts >= STARTS:
            self._begun.set()
        if keeper.child is not None and self._controls is not None:
            keeper.child.memory.show(self._controls.snapshot(), self._hands)
        if (child := keeper.playing) is not None:
            self._played_s = now_s
            while child.pump is not None and child.pump.step(child.memory.head.longest_s):
                pass
        elif self._source is not None and (keeper.lost or self._patient):
            self._play_unheard(self._source, now_s)

    def _play_unheard(self, source: AudioRing, now_s: float) -> None:
        """Let the music go on at its pace while there is no device."""
        if now_s - self._played_s > 1.0:  # everything slept
            self._played_s = now_s
        while self._played_s < now_s - BLOCK_S:
            source.read_into(self._unheard)
            self._played_s += BLOCK_S
