"""The stand-in with graphs of its own for chunks of 16 frames and for chunks of 8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.backends import standin
from engine.bundle import Bundle
from engine.manifest import Manifest, SizeSpec
from engine.sizes import SIZED_GRAPHS
from engine.tensors import GraphSpec, TensorSpec

BACK_FRAMES = 96


def two_sizes(**wanted: Any) -> Bundle:
    """Both look back on 96 frames; 16 is the default."""
    usual, other = (fixed(frames, **wanted) for frames in (16, 8))
    graphs = {
        name: replace(graph, file=f"{name}.8.onnx")
        for name, graph in other.graphs.items()
        if name in SIZED_GRAPHS
    }
    sized = {"8": SizeSpec(other.context.chunks, graphs)}
    return Bundle(None, replace(usual, chunk_frames=(16, 8), sized=sized), "0" * 64)


def fixed(frames: int, **wanted: Any) -> Manifest:
    """The stand-in with chunks of so many frames and no others."""
    manifest = standin.bundle(
        chunk_frames=(frames,), context_chunks=BACK_FRAMES // frames, descends=True, **wanted
    ).manifest
    names = {"frames": frames}
    if manifest.prompting is not None:
        names["tokens"] = frames // manifest.prompting.token_frames
    sized = {name: _without(manifest.graphs[name], names) for name in SIZED_GRAPHS}
    return replace(manifest, graphs={**manifest.graphs, **sized})


def _without(graph: GraphSpec, names: dict[str, int]) -> GraphSpec:
    """The graph with fixed sizes for free axes."""

    def shaped(tensors: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(
            replace(one, shape=tuple(names.get(str(axis), axis) for axis in one.shape))
            for one in tensors
        )

    return replace(graph, inputs=shaped(graph.inputs), outputs=shaped(graph.outputs))
