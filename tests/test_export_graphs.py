"""The networks at the engine's door: names, shapes, states."""

from __future__ import annotations

import pytest
import torch
from tiny_export import networks

from export.graphs import (
    POSITION_PERIOD,
    decoder_graph,
    encoder_graph,
    form,
    velocity_graph,
)
from model.layers import SRULayer

SIZES = {"batch": 2, "chunks": 3, "frames": 5, "samples": 5 * 160, "rungs": 4}


def test_every_graph_returns_what_it_says() -> None:
    pair = networks(conditions=("tokens", "guide"))
    graphs = [*pair.graphs(), velocity_graph(pair.velocity, "window")]
    for graph in graphs:
        with torch.no_grad():
            outputs = graph.module(graph.example(SIZES))
        assert tuple(outputs) == graph.leaving
        for tensor in graph.outputs:
            assert tuple(outputs[tensor.name].shape) == tensor.resolve(SIZES)
        for state in graph.states:
            assert tuple(outputs[state.next_name].shape) == state.next_spec.resolve(SIZES)


def test_passes_in_torch_are_no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("model.descent.steps_scan")
    graph = next(graph for graph in networks().graphs() if graph.name == "descend")
    with torch.no_grad():
        descended = graph.module(graph.example(SIZES))["descended"]
    assert torch.isfinite(descended).all()


def test_states_travel_as_float32() -> None:
    pair = networks()
    for graph in pair.graphs():
        assert {state.dtype for state in graph.states} <= {"float32"}
        assert {value.dtype.name for value in graph.initial_states().values()} <= {"float32"}


def test_the_clock_of_the_decoder_counts_through_float32() -> None:
    graph = decoder_graph(networks().autoencoder)
    feeds = graph.example(SIZES)
    period = graph.module.autoencoder.decoder.clock.period
    feeds["clock"] = torch.tensor([float(period - 3)])
    with torch.no_grad():
        after = graph.module(feeds)["clock_next"]
    assert after.dtype == torch.float32
    assert after.tolist() == [5 * 2 - 3]  # two spectra a frame, and once around


def test_doors_equal_the_networks_behind_them() -> None:
    pair = networks()
    audio = 0.1 * torch.randn(1, 1, 160 * 6)
    with torch.no_grad():
        latents = encoder_graph(pair.autoencoder).module({"audio": audio})["latents"]
        feeds = decoder_graph(pair.autoencoder).example({"frames": 6})
        feeds = {name: torch.zeros_like(x) for name, x in feeds.items()} | {"latents": latents}
        decoded = decoder_graph(pair.autoencoder).module(feeds)["audio"]
        mean = pair.autoencoder.encode(audio)[0]
        assert torch.allclose(decoded, pair.autoencoder.decode(mean), atol=1e-5)


def test_positions_repeat_after_a_whole_number_of_chunks() -> None:
    graph = velocity_graph(networks().velocity, "cached")
    assert graph.position_period is not None
    hops = 8 // 2
    assert graph.position_period * hops % POSITION_PERIOD == 0
    feeds = graph.example(SIZES)
    with torch.no_grad():
        here = graph.module(feeds | {"position": torch.full((2, 3), 2)})["velocity"]
        later = torch.full((2, 3), 2 + graph.position_period)
        there = graph.module(feeds | {"position": later})["velocity"]
    assert torch.equal(here, there)


def test_only_the_conditions_it_was_trained_with_are_inputs() -> None:
    for conditions in ((), ("tokens",), ("tokens", "guide")):
        for context in ("cached", "window"):
            graph = velocity_graph(networks(conditions=conditions).velocity, context)
            names = {tensor.name for tensor in graph.inputs}
            assert names & {"tokens", "guide"} == set(conditions)


def test_the_form_is_put_back() -> None:
    velocity = networks().velocity
    layers = [layer for layer in velocity.modules() if isinstance(layer, SRULayer)]
    with form(velocity, scan=True, marking=True):
        assert velocity.marking and all(layer.scan for layer in layers)
    assert not velocity.marking and not any(layer.scan for layer in layers)
