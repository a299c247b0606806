"""Angles of the ladder and the step between them (MeLoDy, section 4.2 and appendix).

z_δ = cos(δ)·z0 + sin(δ)·ε and v = cos(δ)·ε − sin(δ)·z0, with δ from π/2 (noise) to 0 (finished).
A table of angles has T + 1 entries, from π/2 to 0: rung r stands at entry T − r.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from engine.errors import UsageError
from engine.session import Floats

Table = npt.NDArray[np.float64]


def schedule(steps: int) -> Table:
    """Angles from noise to finished, float64[T + 1], by the published linear schedule.

    ω_t = π/(6T) + 2πt/(3T(T + 1)) for t = T … 1: large steps first; their sum is π/2.
    """
    return _from_rungs(steps, [_omega(steps, t) for t in range(1, steps + 1)])


def uniform(steps: int) -> Table:
    """Angles from noise to finished, float64[T + 1], in T equal steps: for comparison."""
    return _from_rungs(steps, [math.pi / 2 / max(steps, 1)] * steps)


def _omega(steps: int, t: int) -> float:
    return math.pi / (6 * steps) + 2 * math.pi * t / (3 * steps * (steps + 1))


def _from_rungs(steps: int, omegas: list[float]) -> Table:
    if steps < 1:
        raise UsageError(f"a ladder of {steps} steps; it takes 1 or more")
    table = np.concatenate([[0.0], np.cumsum(omegas)])
    table[-1] = math.pi / 2
    return table[::-1]


def step(z: Floats, velocity: Floats, omega: float) -> None:
    """One DDIM step in place: z ← cos(ω)·z − sin(ω)·v̂. `velocity` is used up."""
    z *= math.cos(omega)
    velocity *= math.sin(omega)
    z -= velocity
