"""A bundle with chunks of another size, or a longer look back: its velocity network exported anew.

Whether the music survives a size that the network was not trained on is what `bench.chunks` asks;
what a longer look back costs, `bench.lookback`. Needs what export needs.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from engine.bundle import Bundle, seal
from engine.errors import UsageError
from engine.tensors import GraphSpec
from export.forms import coarse
from export.graphs import Graph
from export.onnx_graph import to_onnx
from export.restore import filled, preset_of, read_weights
from export.sizes import resized, sized_graphs
from model.velocity import VelocityNetwork


def rechunked(bundle: Bundle, frames: int, folder: Path, back_s: float | None = None) -> Bundle:
    """The bundle with chunks of `frames` alone, written into `folder`: in the unrolled form, and
    with int8 products where the bundle has them.

    It looks back as far as before, or `back_s` in whole chunks. UsageError for a size that cannot
    be (see `export.sizes`), for a network in window context, and for a bundle that is not on disk.
    """
    if bundle.path is None or bundle.manifest.context.kind != "cached":
        raise UsageError(f"bundle {bundle.manifest.name} cannot be exported for other chunks")
    back = None if back_s is None else round(back_s * bundle.manifest.latent.rate_hz)
    network = resized(_network(bundle), frames, back)
    graphs = bundle.manifest.graphs
    made = {graph.name: graph for graph in sized_graphs(network) if graph.name in graphs}
    folder.mkdir(parents=True)
    for name in bundle.manifest.files:
        if name.partition(".")[0] not in made:
            shutil.copyfile(bundle.path / name, folder / name)
    specs = {
        name: _write(graph, folder, int8="int8" in graphs[name].variants)
        for name, graph in made.items()
    }
    context = replace(bundle.manifest.context, chunks=network.preset.context_chunks)
    manifest = replace(
        bundle.manifest, chunk_frames=(frames,), sized={}, context=context, golden=None,
        graphs={**graphs, **specs},
    )  # fmt: skip
    return seal(folder, manifest.to_json())


def _write(graph: Graph, folder: Path, int8: bool) -> GraphSpec:
    """The unrolled form, and the one with int8 products where that is asked for."""
    file, forms = f"{graph.name}.onnx", {}
    if int8:
        forms["int8"] = f"{graph.name}.int8.onnx"
        ir.save(coarse(graph, scan=False)[0], folder / forms["int8"])
    ir.save(to_onnx(graph, scan=False), folder / file)
    return graph.spec(file, forms)


def _network(bundle: Bundle) -> VelocityNetwork:
    preset = preset_of(bundle)
    sizes = preset.prompted if bundle.manifest.prompting else preset.velocity
    return filled(VelocityNetwork(sizes), read_weights(bundle), "velocity", preset.name)
