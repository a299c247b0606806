"""Does a backend play the bundle as it was packed? Asked before it plays to anyone."""

from __future__ import annotations

import numpy as np

from engine.bundle import Bundle
from engine.choices import precision_of
from engine.decoder import StreamDecoder
from engine.errors import UsageError
from engine.golden import allowed, golden_latents
from engine.session import Backend, Floats
from engine.spec import GoldenSpec

ANY = GoldenSpec("", seed=7, steps=4, chunks=1, tolerance=float("inf"))
"""For a bundle that brings nothing to compare with."""


def refuse_wrong(bundle: Bundle, backend: Backend) -> None:
    """UsageError where the first chunks are not finite, or differ by more than is allowed."""
    half = precision_of(backend.name) == "half"
    golden = bundle.manifest.golden or ANY
    made = golden_latents(bundle, backend, golden)
    audio = StreamDecoder(bundle, backend, made.shape[0]).decode(made)
    if not (np.isfinite(made).all() and np.isfinite(audio).all()):
        cure = "half precision overflows; use the same backend without -half" if half else (
            "the GPU or its driver does not compute as it should; use --backend ort")  # fmt: skip
        raise UsageError(f"backend {backend.name} makes numbers that are not finite: {cure}")
    wanted = bundle.golden()
    limit = allowed(golden, backend)
    if wanted is not None and (error := largest(made - wanted)) > limit:
        raise UsageError(
            f"backend {backend.name} differs by {error:.2g} from what was packed, {limit:g} is "
            "allowed: use --backend ort"
        )


def largest(x: Floats) -> float:
    """The largest absolute value."""
    return float(np.abs(x).max(initial=0.0))
