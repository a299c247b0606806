"""Exported graphs against torch: streamed, in every form and context."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_export import networks, packed, packed_prompting

from engine.errors import BundleError
from export.graphs import Graph, decoder_graph, encoder_graph, velocity_graph
from export.onnx_graph import to_onnx
from export.parity import LIMIT, in_onnxruntime, measure, measure_whole, relative
from export.streams import CHUNKS
from model.autoencoder import LiveAutoencoder
from model.presets import TINY, AutoencoderPreset

FILES = ("encoder.onnx", "decoder.onnx", "velocity.onnx", "velocity.unrolled.onnx")


@pytest.mark.parametrize("file", FILES)
def test_twenty_streamed_chunks_equal_torch(file: str) -> None:
    pair, bundle = packed()
    graph = next(g for g in pair.graphs() if g.name == file.split(".")[0])
    parity = measure(graph, bundle.file(file), CHUNKS)
    assert parity.against_torch < LIMIT
    assert parity.against_float64 < LIMIT


@pytest.mark.parametrize("context", ["cached", "window"])
def test_conditions_in_both_contexts(context: str, tmp_path: Path) -> None:
    pair = networks(context, conditions=("tokens", "guide"), merged=(2,))
    graph = velocity_graph(pair.velocity, context)
    ir.save(to_onnx(graph, scan=True), tmp_path / "velocity.onnx")
    assert measure(graph, tmp_path / "velocity.onnx", 4).against_torch < LIMIT


@pytest.mark.parametrize("made", [encoder_graph, decoder_graph])
def test_a_stereo_autoencoder_streams_as_in_torch(
    made: Callable[[LiveAutoencoder], Graph], tmp_path: Path
) -> None:
    mono = TINY.autoencoder
    assert isinstance(mono, AutoencoderPreset)
    torch.manual_seed(0)
    wide = replace(mono, channels=2, frame_samples=320, hop_samples=160, heard_part=2)
    graph = made(LiveAutoencoder(wide).eval())
    ir.save(to_onnx(graph, scan=True), tmp_path / "wide.onnx")
    parity = measure(graph, tmp_path / "wide.onnx", CHUNKS)
    assert parity.against_torch < LIMIT
    assert parity.against_float64 < LIMIT


def test_another_network_is_told_apart() -> None:
    pair, bundle = packed()
    decoder = decoder_graph(networks().autoencoder)  # not rounded to half precision
    with pytest.raises(BundleError, match=r"decoder\.onnx: ONNX Runtime differs"):
        measure(decoder, bundle.file("decoder.onnx"), 2)
    assert pair.graphs()[1].name == decoder.name


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_streaming_equals_whole_in_the_exported_decoder(pieces: list[int]) -> None:
    pair, bundle = packed()
    graph = pair.graphs()[1]
    run = in_onnxruntime(bundle.file("decoder.onnx"))
    latents = np.random.default_rng(0).standard_normal((1, sum(pieces), 8), np.float32)
    whole = run({"latents": latents, **graph.initial_states()})["audio"]
    states, heard, start = graph.initial_states(), [], 0
    for frames in pieces:
        after = run({"latents": latents[:, start : start + frames], **states})
        heard.append(after["audio"])
        states = {state.name: after[state.next_name] for state in graph.states}
        start += frames
    assert relative(np.concatenate(heard, axis=-1), whole) < 1e-5


def test_relative_error_is_infinite_where_anything_is_not_finite() -> None:
    one, bad = np.ones(3), np.array([1.0, np.nan, 1.0])
    assert relative(one, 2 * one) == 0.5
    assert relative(bad, one) == float("inf")
    assert relative(one, bad) == float("inf")


def test_another_language_model_is_told_apart_token_by_token() -> None:
    nets, bundle = packed_prompting()
    assert nets.prompting is not None and bundle.path is not None
    assert measure_whole(nets.prompting.language, bundle.path) < 1e-5
    other = copy.deepcopy(nets.prompting.language)
    with torch.no_grad():
        other.layers[0].attend.leave.weight[0] += 0.1
    with pytest.raises(BundleError, match=r"language\.onnx: token by token it differs"):
        measure_whole(other, bundle.path)


@torch.no_grad()
def test_rows_know_nothing_of_each_other() -> None:
    nets, bundle = packed_prompting()
    graph = velocity_graph(nets.velocity, "cached")
    run = in_onnxruntime(bundle.file("velocity.onnx"))
    feeds = {name: x.numpy() for name, x in graph.example({"batch": 2, "chunks": 2}).items()}
    both = run(feeds)["velocity"]
    for row in range(2):
        alone = {name: x[row : row + 1] for name, x in feeds.items()}
        assert relative(run(alone)["velocity"], both[row : row + 1]) < 1e-5
    assert relative(both[0], both[1]) > 0.01
