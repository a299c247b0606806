"""Partials as tones on a grid: which, how loud, when; and what is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.partials import FLOOR, WEIGHT, partial_levels, tone_loss
from model.synthesis import Clock

RATES_HZ = (24_000, 48_000)
GRID_HZ = Clock(48_000, 480, 961, 2, 24, 7).hz
HOP_S = 0.01


def sine(hz: float, rate_hz: int, level: float = 0.0, seconds: float = 1.0) -> Tensor:
    time_s = torch.arange(round(seconds * rate_hz), dtype=torch.float64) / rate_hz
    return (math.exp(level) * torch.sin(2 * math.pi * hz * time_s)).float()


def levels(audio: Tensor, rate_hz: int, centre: int = 0) -> Tensor:
    """Of the middle of a second of one sound, [spectra, 168]."""
    return partial_levels(audio[None], rate_hz, GRID_HZ, round(HOP_S * rate_hz), centre)[0]


@settings(max_examples=20, deadline=None)
@given(
    rate_hz=st.sampled_from(RATES_HZ), tone=st.integers(36, 160), cents=st.floats(-20, 20),
    level=st.floats(-6.0, -1.0),
)  # fmt: skip
def test_a_sine_is_the_tone_nearest_to_it(
    rate_hz: int, tone: int, cents: float, level: float
) -> None:
    hz = float(GRID_HZ[tone]) * 2 ** (cents / 1200)
    middle = levels(sine(hz, rate_hz, level), rate_hz)[20:80]
    assert middle.shape == (60, 168)
    assert torch.allclose(middle[:, tone], torch.full((60,), level), atol=0.15)
    middle[:, tone] = FLOOR
    assert torch.equal(middle, torch.full_like(middle, FLOOR))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_chord_is_its_notes_and_one_that_is_too_quiet_is_not_heard(rate_hz: int) -> None:
    notes = {60: -2.0, 66: -3.0, 74: -2.5, 130: -5.0, 100: -9.5}
    audio = sum((sine(float(GRID_HZ[n]), rate_hz, level) for n, level in notes.items()),
                torch.zeros(rate_hz))  # fmt: skip
    assert set(levels(audio, rate_hz)[50].gt(FLOOR).nonzero()[:, 0].tolist()) == {60, 66, 74, 130}


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_noise_has_hardly_any_and_silence_none(rate_hz: int) -> None:
    noise = 0.1 * torch.randn(rate_hz, generator=torch.Generator().manual_seed(0))
    assert (levels(noise, rate_hz)[20:80] > FLOOR).float().mean() < 0.06
    assert torch.equal(levels(torch.zeros(rate_hz), rate_hz), torch.full((100, 168), FLOOR))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_an_attack_is_not_heard_long_before_it_comes(rate_hz: int) -> None:
    audio = sine(float(GRID_HZ[80]), rate_hz, -2.0)
    audio[: rate_hz // 2] = 0.0
    found = levels(audio, rate_hz)[:, 80]
    assert torch.equal(found[:45], torch.full((45,), FLOOR))
    assert found[55] == pytest.approx(-2.0, abs=0.3) and found[50] < found[55]


def test_the_centre_moves_all_by_whole_spectra_and_behind_the_end_is_silence() -> None:
    rng = np.random.default_rng(0)
    audio = sine(440.0, 48_000) * torch.from_numpy(rng.uniform(0.5, 1.0, 48_000)).float()
    plain, moved = levels(audio, 48_000), levels(audio, 48_000, centre=960)
    assert plain.shape == moved.shape
    assert torch.allclose(plain[2:70], moved[:68])


def test_the_loss_hears_nothing_below_the_floor_and_twice_what_sounds() -> None:
    wanted = torch.tensor([FLOOR, FLOOR, -2.0, -2.0])
    said = torch.tensor([-20.0, FLOOR + 1.0, -2.0, -3.0], requires_grad=True)
    loss = tone_loss(said, wanted)
    assert float(loss.detach()) == pytest.approx((0.0 + 1.0 + 0.0 + WEIGHT) / 4)
    loss.backward()  # type: ignore[no-untyped-call]
    assert said.grad is not None and said.grad.tolist() == [0.0, 0.25, 0.0, -WEIGHT / 4]
