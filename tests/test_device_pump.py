from __future__ import annotations

import numpy as np
import pytest

from engine.ring import AudioRing
from engine.sinks.device_pump import AHEAD_S, BLOCK_S, Pump


def test_at_the_same_rate_samples_stay_as_they_are() -> None:
    source, target = AudioRing(24000, 2), AudioRing(24000, 2)
    audio = np.random.default_rng(1).normal(size=(24000, 2)).astype(np.float32)
    source.write(audio)
    pump, heard = Pump(source, target, 24000), np.zeros((12000, 2), np.float32)
    for at in range(0, 12000, 480):
        while pump.step():
            pass
        assert target.fill_samples <= (AHEAD_S + BLOCK_S) * 24000
        target.read_into(heard[at : at + 480])
    np.testing.assert_array_equal(heard, audio[:12000])


def test_another_rate_is_resampled() -> None:
    source, target = AudioRing(24000, 1), AudioRing(48000, 1)
    tone = np.sin(2 * np.pi * 440 * np.arange(24000) / 24000).astype(np.float32)[:, None]
    source.write(tone)
    pump, heard = Pump(source, target, 24000, 48000), np.zeros((40800, 1), np.float32)
    for at in range(0, 40800, 480):
        while pump.step():
            pass
        target.read_into(heard[at : at + 480])
    steady = heard[4000:, 0]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert abs(np.argmax(spectrum) * 48000 / len(steady) - 440) < 2
    assert abs(np.sqrt(np.mean(steady**2)) - np.sqrt(0.5)) < 0.01


@pytest.mark.parametrize("rate_hz", [24000, 48000])
def test_it_ends_with_its_source_and_goes_on_with_it(rate_hz: int) -> None:
    source, target = AudioRing(24000, 1), AudioRing(rate_hz, 1)
    pump = Pump(source, target, 24000, rate_hz)
    assert not pump.step()
    source.write(np.ones((2400, 1), np.float32))
    while pump.step():
        pass
    assert target.fill_samples >= AHEAD_S / 2 * rate_hz
    assert source.shortfall_samples == 0
    target.read_into(np.zeros((target.fill_samples, 1), np.float32))
    source.read_into(np.zeros((source.fill_samples, 1), np.float32))
    assert pump.step()
    assert source.shortfalls == 1


def test_long_callbacks_have_two_of_them_kept_ahead() -> None:
    source, target = AudioRing(24000, 1), AudioRing(24000, 1)
    source.write(np.ones((24000, 1), np.float32))
    pump = Pump(source, target, 24000)
    while pump.step(longest_s=0.1):
        pass
    assert target.fill_samples == 4800
    while pump.step(longest_s=100.0):
        pass
    assert target.fill_samples == 12000
