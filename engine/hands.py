"""Hands at the sink: gain, mute, fade and panic as ramps, in place, without allocation."""

from __future__ import annotations

import numpy as np

from engine.controls import ControlSnapshot
from engine.session import Floats

RAMP_S = 0.02
PANIC_S = 0.005
RISE_S = 0.05
SLICE_SAMPLES = 4096


class Ramp:
    """A factor that moves to its target in a straight line."""

    def __init__(self, start: float) -> None:
        self.value = start
        self.target = start
        self._slope = 0.0

    def aim(self, target: float, ramp_samples: float) -> None:
        """Reach `target` from here in so many samples; the same target again changes nothing."""
        if target != self.target:
            self.target = target
            self._slope = (target - self.value) / max(ramp_samples, 1.0)

    def fill(self, count: Floats, out: Floats) -> None:
        """The factor of the next samples; count is 1, 2, …, n and out float32[n]."""
        np.multiply(count, self._slope, out=out)
        out += self.value
        bound = np.minimum if self.target >= self.value else np.maximum
        bound(out, self.target, out=out)
        self.value = float(out[-1]) if abs(self.target - out[-1]) > 1e-7 else self.target


class Hands:
    """Applies the hands of a control snapshot to what a sink is about to play."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._gain = Ramp(1.0)
        self._fade = Ramp(1.0)
        self._count = np.arange(1, SLICE_SAMPLES + 1, dtype=np.float32)
        self._factor = np.zeros(SLICE_SAMPLES, np.float32)
        self._other = np.zeros(SLICE_SAMPLES, np.float32)

    @property
    def level(self) -> float:
        """The factor that the last sample was multiplied by."""
        return self._gain.value * self._fade.value

    def process(self, audio: Floats, controls: ControlSnapshot) -> None:
        """Scale float32[samples, channels] in place, ramped from where the last call ended.

        `fade` fades out over so many seconds and stays out until it is set to 0 again.
        """
        self._aim(controls)
        for start in range(0, audio.shape[0], SLICE_SAMPLES):
            self._scale(audio[start : start + SLICE_SAMPLES])

    def _aim(self, controls: ControlSnapshot) -> None:
        panic = controls.value("panic", 0.0) > 0
        silent = panic or controls.value("mute", 0.0) > 0
        gain = 0.0 if silent else 10.0 ** (controls.value("gain_db", 0.0) / 20.0)
        self._gain.aim(gain, (PANIC_S if panic else RAMP_S) * self._rate_hz)
        fade_s = controls.value("fade", 0.0)
        self._fade.aim(float(fade_s == 0), (fade_s or RISE_S) * self._rate_hz)

    def _scale(self, audio: Floats) -> None:
        if self._steady(self._gain) and self._steady(self._fade):
            if self.level != 1.0:
                audio *= self.level
            return
        count = self._count[: audio.shape[0]]
        factor, other = self._factor[: audio.shape[0]], self._other[: audio.shape[0]]
        self._gain.fill(count, factor)
        self._fade.fill(count, other)
        factor *= other
        audio *= factor[:, None]

    @staticmethod
    def _steady(ramp: Ramp) -> bool:
        return ramp.value == ramp.target
