"""What shapes a graph will meet, from the manifest alone: TensorRT builds for a range of them."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BundleError
from engine.generator import WARM_S
from engine.manifest import Manifest
from engine.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class Span:
    """The smallest, the usual and the largest size of a free axis."""

    least: int
    usual: int
    most: int


MOST_ROWS = 16
"""Streams in one pass."""

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Least, usual, most."""


def spans(manifest: Manifest, graph: str) -> dict[str, Span]:
    """Every axis that may be free in a graph of a tick; a decoder meets pieces of any length."""
    chunk, depth = manifest.chunk_frames[0], manifest.ladder.depth
    whole, sizes = manifest.context.chunks, manifest.chunk_frames
    if graph == "decoder":
        warm = round(WARM_S * manifest.latent.rate_hz)  # of the past, before a stream goes on
        frames = Span(1, chunk, warm + max(sizes))
    else:
        frames = Span(min(sizes), chunk, max(sizes))
    return {
        "batch": Span(1, 1, MOST_ROWS),
        "chunks": Span(1, depth, max(2 * depth + 1, whole)),  # guided, behind one that waits
        "frames": frames,
        "window_frames": Span(whole * min(sizes), whole * chunk, whole * max(sizes)),
        "tokens": _tokens(manifest),
    }


def _tokens(manifest: Manifest) -> Span:
    if manifest.prompting is None:
        return Span(1, 1, 1)
    counts = [frames // manifest.prompting.token_frames for frames in manifest.chunk_frames]
    return Span(min(counts), counts[0], max(counts))


def profile(manifest: Manifest, graph: str) -> dict[str, Shapes]:
    """The three shapes of every input and state of a graph; BundleError for an unknown axis."""
    known, spec = spans(manifest, graph), manifest.graphs[graph]
    return {tensor.name: _shapes(graph, tensor, known) for tensor in (*spec.inputs, *spec.states)}


def _shapes(graph: str, tensor: TensorSpec, known: dict[str, Span]) -> Shapes:
    for axis in tensor.shape:
        if isinstance(axis, str) and axis not in known:
            raise BundleError(
                f"{graph}: {tensor.name} has a free axis {axis}, which TensorRT is not built for: "
                "use --backend ort"
            )
    least = tensor.resolve({name: span.least for name, span in known.items()})
    usual = tensor.resolve({name: span.usual for name, span in known.items()})
    most = tensor.resolve({name: span.most for name, span in known.items()})
    return least, usual, most


def described(shapes: dict[str, Shapes]) -> str:
    """In one line, for a key."""
    return "; ".join(f"{name} {least} {usual} {most}" for name, (least, usual, most)
                     in sorted(shapes.items()))  # fmt: skip
