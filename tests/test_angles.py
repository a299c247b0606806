import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.angles import schedule, step, uniform
from engine.errors import UsageError

PUBLISHED = {
    5: [1.5708, 1.1170, 0.7330, 0.4189, 0.1745, 0.0],
    10: [1.5708, 1.3280, 1.1043, 0.8996, 0.7140, 0.5474, 0.3998, 0.2713, 0.1618, 0.0714, 0.0],
}


@pytest.mark.parametrize("steps", PUBLISHED)
def test_the_schedule_is_the_published_one(steps: int) -> None:
    np.testing.assert_allclose(schedule(steps), PUBLISHED[steps], atol=5e-5)


@given(st.integers(1, 1000))
def test_schedules_fall_from_noise_to_nothing(steps: int) -> None:
    for table in (schedule(steps), uniform(steps)):
        assert table.shape == (steps + 1,)
        assert table[0] == math.pi / 2
        assert table[-1] == 0.0
        assert (np.diff(table) < 0).all()


@given(st.integers(1, 1000))
def test_the_published_steps_sum_to_a_right_angle(steps: int) -> None:
    t = np.arange(1, steps + 1)
    omegas = np.pi / (6 * steps) + 2 * np.pi * t / (3 * steps * (steps + 1))
    assert omegas.sum() == pytest.approx(np.pi / 2, rel=1e-12)
    np.testing.assert_allclose(-np.diff(schedule(steps)), omegas[::-1], atol=1e-12)


def test_a_ladder_without_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="0 steps"):
        schedule(0)


@given(st.floats(0.0, math.pi / 2), st.floats(0.0, 1.0))
def test_a_step_along_the_true_velocity_stays_on_the_circle(angle: float, part: float) -> None:
    rng = np.random.default_rng(1)
    clean, dirt = rng.standard_normal((2, 4, 3))
    z = math.cos(angle) * clean + math.sin(angle) * dirt
    v = math.cos(angle) * dirt - math.sin(angle) * clean
    omega = part * angle
    step(z, v, omega)
    there = math.cos(angle - omega) * clean + math.sin(angle - omega) * dirt
    np.testing.assert_allclose(z, there, atol=1e-12)


def test_a_step_keeps_single_precision_and_place() -> None:
    z = np.ones((2, 3), np.float32)
    step(z, np.zeros((2, 3), np.float32), 0.5)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, math.cos(0.5), rtol=1e-6)
