"""Chunks of another size in the same bundle: the same weights in graphs beside the usual ones."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tiny_export import networks, packed, prompted

from engine.backends import open_backend
from engine.bundle import MANIFEST, Bundle, seal
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.graphs import check_graphs
from export.onnx_graph import to_onnx
from export.pack import Label, describe
from export.parity import measure
from export.restore import refuse_misfit
from export.rounding import round_to_half
from export.sizes import resized, size_spec, sized_graphs
from model.presets import TINY
from model.velocity import VelocityNetwork

CHUNK = networks().velocity.preset.chunk_frames
BACK = networks().velocity.preset.context_chunks * CHUNK


def test_the_weights_are_the_same_and_so_is_the_look_back() -> None:
    usual = networks().velocity
    half = resized(usual, CHUNK // 2)
    assert (half.preset.chunk_frames, half.preset.context_chunks) == (CHUNK // 2, 2 * BACK // CHUNK)
    assert not half.training
    state = half.state_dict()
    for name, weight in usual.state_dict().items():
        assert torch.equal(state[name], weight)
    assert resized(usual, CHUNK).preset == usual.preset


def test_what_is_rounded_in_one_is_rounded_in_both() -> None:
    usual = networks().velocity
    half = resized(usual, CHUNK // 2)
    round_to_half(usual)
    weight = half.leave.weight
    assert torch.equal(weight, weight.half().float()) and weight.requires_grad


@pytest.mark.parametrize(("back", "chunks"), [(BACK, 12), (3 * BACK, 36), (BACK - 1, 11)])
def test_it_looks_back_on_whole_chunks(back: int, chunks: int) -> None:
    assert resized(networks().velocity, CHUNK // 2, back).preset.context_chunks == chunks


@pytest.mark.parametrize("frames", [0, -4, 3, 2 * BACK])
def test_a_size_that_cannot_be_is_refused(frames: int) -> None:
    with pytest.raises(UsageError, match=f"{frames} frames"):
        resized(networks().velocity, frames)


def test_chunks_hold_whole_tokens() -> None:
    velocity = prompted().velocity
    unit = velocity.preset.token_frames
    assert resized(velocity, 2 * unit).preset.token_frames == unit
    with pytest.raises(UsageError, match=f"takes multiples of {unit} up to {BACK}"):
        resized(velocity, 2 * unit + 1)


def test_a_manifest_with_such_an_entry_is_whole() -> None:
    nets = prompted()
    half = resized(nets.velocity, CHUNK // 2)
    usual = {graph.name: graph.spec(f"{graph.name}.onnx", {}) for graph in nets.graphs()}
    other = {graph.name: graph.spec(f"{graph.name}.4.onnx", {}) for graph in sized_graphs(half)}
    manifest = replace(
        describe(nets, Label(), usual, {}), chunk_frames=(CHUNK, CHUNK // 2),
        sized={str(CHUNK // 2): size_spec(half, other)},
    )  # fmt: skip
    check_graphs(manifest)
    assert manifest.at(CHUNK // 2).context.chunks == half.preset.context_chunks


def test_a_bundle_plays_both_sizes(tmp_path: Path) -> None:
    nets, usual = packed()
    half = resized(nets.velocity, CHUNK // 2)
    bundle = beside(usual, half, tmp_path / "both")
    for frames in (CHUNK, CHUNK // 2):
        sized = bundle.at(frames)
        generator = Generator(sized, open_backend("ort", sized), seed=3)
        controls = Controls(sized.manifest.controls).snapshot()
        ticks = [generator.tick(controls).latents for _ in range(3)]
        assert np.isfinite(ticks).all() and np.shape(ticks)[:2] == (3, frames)
    assert bundle.manifest.at(CHUNK).graphs == usual.manifest.graphs
    assert bundle.golden() is not None and bundle.at(CHUNK // 2).golden() is None
    refuse_misfit(bundle, nets, TINY)  # it can be restored by its usual size


def beside(usual: Bundle, network: VelocityNetwork, folder: Path) -> Bundle:
    """The bundle with graphs of this network, which say what torch says."""
    assert usual.path is not None
    shutil.copytree(usual.path, folder, ignore=shutil.ignore_patterns(MANIFEST))
    frames, specs = network.preset.chunk_frames, {}
    for graph in sized_graphs(network):
        specs[graph.name] = graph.spec(f"{graph.name}.{frames}.onnx", {})
        ir.save(to_onnx(graph, scan=False), folder / specs[graph.name].file)
        measure(graph, folder / specs[graph.name].file, chunks=3)
    sized = {str(frames): size_spec(network, specs)}
    sizes = (*usual.manifest.chunk_frames, frames)
    return seal(folder, replace(usual.manifest, chunk_frames=sizes, sized=sized).to_json())
