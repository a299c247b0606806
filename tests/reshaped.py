"""Manifests and graphs with something in them changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.manifest import Manifest
from engine.tensors import GraphSpec, TensorSpec


def changed(manifest: Manifest, graph: str, **changes: Any) -> Manifest:
    """The manifest with these fields of one graph replaced."""
    graphs = {**manifest.graphs, graph: replace(manifest.graphs[graph], **changes)}
    return replace(manifest, graphs=graphs)


def shaped(graph: GraphSpec, name: str, *shape: int | str) -> tuple[TensorSpec, ...]:
    """The graph's inputs, that of this name in another shape."""
    return tuple(
        replace(tensor, shape=shape) if tensor.name == name else tensor for tensor in graph.inputs
    )
