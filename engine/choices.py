"""Names that options take, without what they stand for: a command line loads nothing."""

from __future__ import annotations

GPU_BACKENDS = ("ort-cuda", "ort-tensorrt", "tensorrt", "tensorrt-half", "torch", "torch-half")
BACKENDS = ("auto", "ort", "ort-int8", *GPU_BACKENDS, "standin")
"""What may run the graphs of a bundle; `engine.backends` says what each is."""


def precision_of(backend: str) -> str:
    """What a backend of this name computes with: "int8" or "half" by its ending, else "single"."""
    ending = backend.rpartition("-")[2]
    return ending if ending in ("int8", "half") else "single"
