"""Noise patterns of training against those of inference."""

from __future__ import annotations

import math

import pytest
import torch

from engine.angles import schedule
from model.patterns import cached_pattern, ladder_angle, noised, noisy_angles, window_angles


def test_one_at_a_time_sees_clean_past_and_itself() -> None:
    pattern = cached_pattern(3, 1, 0)
    assert pattern.sources[3:].int().tolist() == [
        [0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 1],
    ]  # fmt: skip
    assert pattern.tails.tolist() == [-1, 0, 1, -1, 0, 1]


def test_a_ladder_group_sees_its_own_noisy_elders() -> None:
    pattern = cached_pattern(4, 2, 1)  # groups: {0}, {1, 2}, {3}
    assert pattern.sources[6].int().tolist() == [1, 0, 0, 0, 0, 1, 1, 0]
    assert pattern.tails[4:].tolist() == [-1, 0, 5, 2]
    assert not pattern.sources[:4, 4:].any()


@pytest.mark.parametrize("steps", [5, 10, 40])
def test_ladder_angles_follow_the_schedule(steps: int) -> None:
    wanted = torch.as_tensor(schedule(steps).copy()).flip(0)
    got = ladder_angle(torch.linspace(0, 1, steps + 1, dtype=torch.float64))
    assert float((wanted - got).abs().max()) < 0.4 / steps
    assert math.isclose(float(got[-1]), math.pi / 2)


def test_angles_stay_between_nothing_and_noise() -> None:
    for depth in (1, 2, 4):
        angles = noisy_angles(64, cached_pattern(8, depth, 1))
        assert 0 <= float(angles.min()) <= float(angles.max()) <= math.pi / 2 + 1e-6
    assert float(window_angles(64, 4).max()) <= math.pi / 2 + 1e-6


def test_velocity_is_the_derivative_by_angle() -> None:
    torch.manual_seed(0)
    latents = torch.randn(1, 1, 4, 2)
    angle = torch.full((1, 1), 0.6)
    z, v = noised(latents, angle)
    back = math.cos(0.6) * z - math.sin(0.6) * v
    assert torch.allclose(back, latents, atol=1e-6)
