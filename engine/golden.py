"""Golden latents: the first chunks of a bundle, as they were when it was packed.

They are what the exact form makes. What computes coarser on purpose says so in its name, and may
differ by more; beyond that something is broken.
"""

from __future__ import annotations

import numpy as np

from engine.bundle import Bundle
from engine.choices import precision_of
from engine.controls import Controls
from engine.errors import BundleError
from engine.generator import Generator
from engine.session import Backend, Floats
from engine.spec import GoldenSpec

ROOM = {"single": 1.0, "half": 20.0, "int8": 200.0}
"""By how many times more than the bundle allows a backend of that precision may differ.

A sum in another order rounds what enters an int8 product to the next byte."""


def golden_latents(bundle: Bundle, backend: Backend, golden: GoldenSpec) -> Floats:
    """The first chunks without a prompt, float32[chunks·frames, dim], as `golden` asks for them."""
    generator = Generator(bundle, backend, seed=golden.seed)
    controls = Controls(bundle.manifest.controls).snapshot()
    ticks = [generator.tick(controls, golden.steps) for _ in range(golden.chunks)]
    return np.concatenate([block.latents for block in ticks])


def allowed(golden: GoldenSpec, backend: Backend) -> float:
    """By how much the latents of a backend may differ."""
    return golden.tolerance * ROOM[precision_of(backend.name)]


def golden_error(bundle: Bundle, backend: Backend) -> float | None:
    """Greatest difference between a bundle's golden latents and what is made here.

    None for a bundle without any; BundleError beyond what is allowed.
    """
    golden, expected = bundle.manifest.golden, bundle.golden()
    if golden is None or expected is None:
        return None
    found = golden_latents(bundle, backend, golden)
    if found.shape != expected.shape:
        raise BundleError(f"golden latents are {expected.shape}, made here: {found.shape}")
    error, limit = float(np.abs(found - expected).max()), allowed(golden, backend)
    if not error <= limit:
        raise BundleError(
            f"golden latents differ by {error:.2g}, {limit:g} is allowed: "
            f"backend {backend.name} does not play this bundle as it was packed"
        )
    return error
