"""The velocity network with chunks of another size: the same weights, other graphs.

No weight depends on the size of a chunk, but the graphs do: what a finished chunk leaves has a row
for each of its segments, and a ring has a slot for each chunk. Whether the music survives a size
that the network was not trained on is what `bench.chunks` asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.errors import UsageError
from engine.manifest import SizeSpec
from engine.tensors import GraphSpec
from export.graphs import Graph, descend_graph, velocity_graph
from model.velocity import VelocityNetwork


def resized(
    network: VelocityNetwork, frames: int, back_frames: int | None = None
) -> VelocityNetwork:
    """A network with chunks of `frames` that looks back as far as before, or `back_frames`.

    It looks back on whole chunks. The weights are not copied: what is rounded in one is rounded in
    both. UsageError for a size that holds no whole number of half segments or of tokens, or that is
    longer than the look back.
    """
    sizes = network.preset
    back = sizes.context_chunks * sizes.chunk_frames if back_frames is None else back_frames
    unit = sizes.token_frames if "tokens" in sizes.conditions else 1
    if frames % unit or not 0 < frames <= back:
        raise UsageError(f"chunks of {frames} frames: takes multiples of {unit} up to {back}")
    try:
        changed = replace(sizes, chunk_frames=frames, context_chunks=back // frames)
    except ValueError as error:
        raise UsageError(str(error)) from None
    other = VelocityNetwork(changed)
    other.load_state_dict(network.state_dict(), assign=True)
    return other.eval()


def sized_graphs(network: VelocityNetwork) -> tuple[Graph, ...]:
    """All graphs that depend on the size of a chunk, in cached context."""
    return velocity_graph(network, "cached"), descend_graph(network)


def size_spec(network: VelocityNetwork, graphs: Mapping[str, GraphSpec]) -> SizeSpec:
    """The manifest's entry for the size of this network, whose graphs were written as `graphs`."""
    return SizeSpec(network.preset.context_chunks, dict(graphs))
