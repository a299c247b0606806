"""A bundle with chunks of another size, or a longer look back: its velocity network exported anew.

No weight depends on either, but the graph does: what a finished chunk leaves has a row for each of
its segments, and a ring has a slot for each chunk. Whether the music survives a size that the
network was not trained on is what `bench.chunks` asks; what a longer look back costs,
`bench.lookback`. Needs what export needs.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from engine.bundle import Bundle, seal
from engine.errors import UsageError
from export.graphs import Graph, descend_graph, velocity_graph
from export.onnx_graph import to_onnx
from export.restore import filled, preset_of, read_weights
from model.velocity import VelocityNetwork


def rechunked(bundle: Bundle, frames: int, folder: Path, back_s: float | None = None) -> Bundle:
    """The bundle with chunks of `frames`, written into `folder`; the unrolled form only.

    It looks back as far as before, or `back_s` in whole chunks. UsageError for a size that holds
    no whole number of half segments or of tokens, for a network in window context, and for a
    bundle that is not on disk.
    """
    if bundle.path is None or bundle.manifest.context.kind != "cached":
        raise UsageError(f"bundle {bundle.manifest.name} cannot be exported for other chunks")
    network = _network(bundle, frames, back_s)
    made = {graph.name: graph for graph in _graphs(network) if graph.name in bundle.manifest.graphs}
    folder.mkdir(parents=True)
    for name in bundle.manifest.files:
        if name.partition(".")[0] not in made:
            shutil.copyfile(bundle.path / name, folder / name)
    for name, graph in made.items():
        ir.save(to_onnx(graph, scan=False), folder / f"{name}.onnx")
    specs = {name: graph.spec(f"{name}.onnx", {}) for name, graph in made.items()}
    context = replace(bundle.manifest.context, chunks=network.preset.context_chunks)
    manifest = replace(
        bundle.manifest, chunk_frames=(frames,), context=context, golden=None,
        graphs={**bundle.manifest.graphs, **specs},
    )  # fmt: skip
    return seal(folder, manifest.to_json())


def _graphs(network: VelocityNetwork) -> list[Graph]:
    """All that depend on the size of a chunk."""
    return [velocity_graph(network, "cached"), descend_graph(network)]


def _network(bundle: Bundle, frames: int, back_s: float | None) -> VelocityNetwork:
    preset = preset_of(bundle)
    sizes = preset.prompted if bundle.manifest.prompting else preset.velocity
    trained = filled(VelocityNetwork(sizes), read_weights(bundle), "velocity", preset.name)
    back = sizes.context_chunks * sizes.chunk_frames
    if back_s is not None:
        back = round(back_s * bundle.manifest.latent.rate_hz)
    unit = sizes.token_frames if "tokens" in sizes.conditions else 1
    if frames % unit or not 0 < frames <= back:
        raise UsageError(f"chunks of {frames} frames: takes multiples of {unit} up to {back}")
    try:
        changed = replace(sizes, chunk_frames=frames, context_chunks=back // frames)
    except ValueError as error:
        raise UsageError(str(error)) from None
    network = VelocityNetwork(changed)
    network.load_state_dict(trained.state_dict())
    return network.eval()
