"""PortAudio as the tests need it, in this process or in a child, where it goes by name.

`FakePortAudio` is played by the test; `Paced` calls back every 10 ms from a thread of its own.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

PERIOD_S = 0.01


class FakePortAudio:
    """Two outputs that take `rates`; the test is the device's thread."""

    PortAudioError = RuntimeError

    def __init__(
        self, rates: tuple[int, ...] = (24000,), names: tuple[str, ...] = (), channels: int = 2
    ) -> None:
        self.rates = rates
        self.channels = channels
        self.names = names or ("Speakers", "Speakers of the hall")
        self.default = SimpleNamespace(device=(-1, 1))
        self.callback: Callable[..., None] | None = None
        self.width = 0
        self.closed = False

    def query_hostapis(self) -> list[dict[str, str]]:
        return [{"name": "Fake"}]

    def query_devices(self) -> list[dict[str, Any]]:
        common = {
            "hostapi": 0, "max_output_channels": self.channels, "default_samplerate": 48000.0,
            "default_low_output_latency": 0.01, "default_high_output_latency": 0.04,
        }  # fmt: skip
        microphone = {**common, "name": "Microphone", "max_output_channels": 0}
        return [*({**common, "name": name} for name in self.names), microphone]

    def check_output_settings(self, *settings: Any) -> None:
        if settings[-1] not in self.rates:
            raise RuntimeError(f"Invalid sample rate {settings[-1]}")

    def OutputStream(  # noqa: N802
        self, *, callback: Callable[..., None], channels: int, **_: Any
    ) -> SimpleNamespace:
        self.callback, self.width = callback, channels
        return SimpleNamespace(start=self.begin, close=self.close, latency=0.01)

    def begin(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def _initialize(self) -> None:
        pass

    def _terminate(self) -> None:
        pass

    def call(self, samples: int, underflow: bool = False) -> np.ndarray:
        """What the device is given, float32[samples, channels]."""
        out = np.full((samples, self.width), np.nan, np.float32)
        assert self.callback is not None
        self.callback(out, samples, None, SimpleNamespace(output_underflow=underflow))
        return out


class Paced(FakePortAudio):
    """Plays by itself; `most` callbacks, then it is as if the sound server had died."""

    def __init__(self, most: float = float("inf"), rate_hz: int = 24000) -> None:
        super().__init__((rate_hz,))
        self.most = most

    def begin(self) -> None:
        threading.Thread(target=self._play, daemon=True).start()

    def _play(self) -> None:
        count = 0
        while count < self.most and not self.closed:
            self.call(round(PERIOD_S * self.rates[0]))
            count += 1
            time.sleep(PERIOD_S)


def steady() -> Paced:
    return Paced()


def none() -> FakePortAudio:
    """A machine without outputs."""
    silent = FakePortAudio(names=("no",))
    silent.query_devices = list  # type: ignore[method-assign]
    return silent


def refusing() -> FakePortAudio:
    """Outputs that take no rate."""
    return FakePortAudio(rates=())


def crashing() -> FakePortAudio:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def crashing_once(note: Path) -> FakePortAudio:
    if note.exists():
        return Paced()
    note.touch()
    return crashing()


def hanging() -> FakePortAudio:
    time.sleep(600)
    raise AssertionError


def dying_once(note: Path) -> FakePortAudio:
    """Plays 20 callbacks; asked again later, it lasts. `note` remembers."""
    if note.exists():
        return Paced()
    playing = Paced(most=20)
    playing.close = lambda: time.sleep(600)  # type: ignore[method-assign]
    playing.begin = lambda: (note.touch(), Paced.begin(playing))  # type: ignore[method-assign,assignment,return-value]
    return playing


def away_until(note: Path) -> FakePortAudio:
    """Plays 20 callbacks once; then there is no output until the file `note` is there."""
    begun = note.with_suffix(".begun")
    if not begun.exists():
        return dying_once(begun)
    playing = Paced()
    listed = playing.query_devices
    playing.query_devices = lambda: listed() if note.exists() else []  # type: ignore[method-assign]
    return playing
