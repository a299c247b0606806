import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.angles import schedule
from engine.window import UNPLANNED, Plan, Window, noise

FRAMES, DIM = 4, 3


def rungs(steps: int, depth: int) -> range:
    """Rungs just after a chunk entered, oldest first: T/J, 2T/J, … T."""
    return range(steps // depth, steps + 1, steps // depth)


def window_of(pattern: list[int], steps: int, capacity: int | None = None) -> Window:
    """A window whose chunks stand on the rungs of `pattern`, oldest first."""
    table = schedule(steps)
    window = Window(capacity or len(pattern), FRAMES, DIM, 0.02)
    for index, rung in enumerate(pattern):
        window.append(noise(1, index, FRAMES, DIM), index, rung, table[steps - rung], 0)
    return window


def latents(window: Window) -> np.ndarray:
    return window.latents_of(window.chunks)


def rungs_of(window: Window) -> list[int]:
    return [chunk.rung for chunk in window.chunks]


def angles(window: Window) -> list[float]:
    return [chunk.angle for chunk in window.chunks]


def plans_of(window: Window) -> list[Plan]:
    return [chunk.plan for chunk in window.chunks]


def still(window: Window) -> np.ndarray:
    return np.zeros((len(window.flying), FRAMES, DIM), np.float32)


def test_noise_depends_on_seed_and_chunk_alone() -> None:
    np.testing.assert_array_equal(noise(7, 3, 16, 64), noise(7, 3, 16, 64))
    assert not np.array_equal(noise(7, 3, 16, 64), noise(7, 4, 16, 64))
    assert not np.array_equal(noise(7, 3, 16, 64), noise(8, 3, 16, 64))
    assert not np.array_equal(noise(0, 1, 16, 64), noise(1, 0, 16, 64))


def test_noise_is_standard_normal() -> None:
    z = np.stack([noise(0, index, 16, 64) for index in range(100)])
    assert z.dtype == np.float32
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02


@given(st.integers(1, 12), st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_any_pattern_of_rungs_comes_down(steps: int, raw: list[int]) -> None:
    """Full ladder, single chunk, whole window at once, a hole: all the same loop."""
    pattern = [min(rung, steps) for rung in raw]
    window = window_of(pattern, steps)
    before = latents(window)
    for passed in range(1, max(pattern) + 1):
        window.advance(still(window), schedule(steps))
        assert rungs_of(window) == [max(0, rung - passed) for rung in pattern]
    assert window.flying == []
    assert set(angles(window)) == {0.02}
    for row, rung in enumerate(pattern):
        if not rung:
            np.testing.assert_array_equal(latents(window)[row], before[row])


def test_finished_chunks_never_shrink() -> None:
    """Trap 4: a step applied to the context would take it to 0.870 of itself in ten steps."""
    window = window_of([0, 0, 10], 10)
    before = latents(window)[:2]
    for _ in range(10):
        window.advance(still(window), schedule(10))
    np.testing.assert_array_equal(latents(window)[:2], before)
    shrunk = math.prod(math.cos(omega) for omega in -np.diff(schedule(10)))
    np.testing.assert_allclose(
        latents(window)[2], shrunk * noise(1, 2, FRAMES, DIM), rtol=1e-5, atol=1e-7
    )
    assert shrunk == pytest.approx(0.870, abs=1e-3)


@given(st.sampled_from([(10, 1), (10, 2), (10, 5), (10, 10), (6, 3), (4, 4), (1, 1)]))
def test_a_finished_chunk_leaves_every_gap(ladder: tuple[int, int]) -> None:
    steps, depth = ladder
    window = window_of(list(rungs(steps, depth)), steps, depth + 1)
    for index in range(depth, depth + 4):
        for _ in range(steps // depth):
            window.advance(still(window), schedule(steps))
        assert window.finished == window.chunks[:1]
        window.drop()
        window.append(noise(1, index, FRAMES, DIM), index, steps, math.pi / 2, 0)
        assert rungs_of(window)[:depth] == list(rungs(steps, depth))


def test_every_chunk_takes_its_own_step() -> None:
    window = window_of([2, 4], 4)
    table = schedule(4)
    before = latents(window)
    velocity = np.ones((2, FRAMES, DIM), np.float32)
    window.advance(velocity, table)
    for row, (start, end) in enumerate([(table[2], table[3]), (table[0], table[1])]):
        omega = start - end
        expected = math.cos(omega) * before[row] - math.sin(omega)
        np.testing.assert_allclose(latents(window)[row], expected, rtol=1e-5, atol=1e-6)


@given(st.sampled_from([(10, 2, 4), (4, 2, 10), (10, 5, 5), (6, 3, 3), (2, 2, 20), (20, 1, 2)]))
def test_a_change_of_ladder_in_flight_still_ends_at_zero(change: tuple[int, int, int]) -> None:
    steps, depth, new_steps = change
    pattern = [rung - steps // depth for rung in rungs(steps, depth)][1:] or [steps]
    window = window_of([0, *pattern], steps)
    window.relabel(steps, new_steps)
    table = schedule(new_steps)
    assert window.chunks[0].rung == 0
    while window.flying:
        before = angles(window)
        window.advance(still(window), table)
        assert any(np.less(angles(window)[1:], before[1:]))
    assert set(angles(window)) == {0.02}


def test_dropping_moves_the_others_up() -> None:
    window = window_of([0, 0, 10], 10)
    window.drop()
    assert window.rungs() == ((1, 0.02), (2, math.pi / 2))
    np.testing.assert_array_equal(latents(window)[0], noise(1, 1, FRAMES, DIM))


def test_a_plan_stays_with_its_chunk() -> None:
    window = Window(3, FRAMES, DIM, 0.02)
    plans = [Plan(np.full(2, k), np.full(5, k, np.float32)) for k in range(3)]
    for k, plan in enumerate(plans):
        window.append(noise(1, k, FRAMES, DIM), k, 0, 0.0, 0, plan)
    window.drop()
    assert plans_of(window) == plans[1:]
    window.append(noise(1, 3, FRAMES, DIM), 3, 1, 0.5, 0)
    assert plans_of(window) == [*plans[1:], UNPLANNED]
    window.clear()
    assert plans_of(window) == []
