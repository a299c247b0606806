"""What the listening networks hear."""

from __future__ import annotations

import math

import torch

from model.ear import Ear

RATE_HZ, SAMPLES = 48_000, 9_600


def sine(hertz: float, rate_hz: int, samples: int) -> torch.Tensor:
    """[1, 1, samples] in float64."""
    return torch.sin(2 * math.pi * hertz * torch.arange(samples).double() / rate_hz)[None, None]


def test_what_it_hears_is_the_mean_in_step_with_the_audio() -> None:
    left, right = sine(440, RATE_HZ, SAMPLES), sine(9_000, RATE_HZ, SAMPLES)
    heard = Ear(2)(torch.cat([left, right], dim=1))
    wanted = (sine(440, 24_000, 4_800) + sine(9_000, 24_000, 4_800)) / 2
    assert heard.shape == (1, 1, 4_800)
    assert (heard - wanted)[..., 200:-200].abs().max() < 1e-4


def test_what_lies_above_is_not_folded_down() -> None:
    assert Ear(2)(sine(15_000, RATE_HZ, SAMPLES))[..., 200:-200].abs().max() < 1e-4


def test_a_whole_ear_hears_every_sample() -> None:
    audio = torch.randn(2, 1, 50)
    assert torch.equal(Ear(1)(audio), audio)
