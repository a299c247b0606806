"""The fixed streams: what is in them, and how states travel."""

from __future__ import annotations

import numpy as np
import torch
from tiny_export import networks, prompted

from export.graphs import Arrays, Graph
from export.parity import in_torch
from export.streams import stream, stream_tokens, take


def recorded(graph: Graph) -> tuple[list[Arrays], np.ndarray]:
    """What goes into a graph over a stream of two chunks, and what comes out."""
    run, fed = in_torch(graph, torch.float32), []

    def noted(feeds: Arrays) -> Arrays:
        fed.append({name: np.array(x) for name, x in feeds.items()})
        return run(feeds)

    said = stream(graph, noted, 2)
    return fed, said


def test_the_take_holds_quiet_loud_and_silence() -> None:
    audio = take(16000, 2)
    assert audio.shape == (1, 2, 16000)
    assert not audio[..., -4000:].any()
    assert np.abs(audio).max() <= 1.0


def test_every_graph_says_something_finite_and_the_same_again() -> None:
    for graph in prompted().graphs():
        fed, said = recorded(graph)
        assert np.isfinite(said).all() and np.abs(said).max() > 0
        for tensor in graph.entering:
            assert all(feeds[tensor.name].dtype == tensor.dtype for feeds in fed)
        assert np.array_equal(recorded(graph)[1], said)


def test_with_conditions_two_rows_go_in_and_one_past() -> None:
    graph = next(g for g in prompted().graphs() if g.name == "velocity")
    fed, _ = recorded(graph)
    assert {feeds["latents"].shape[0] for feeds in fed} == {2}
    assert {feeds["past_0"].shape[0] for feeds in fed} == {1}
    plain = next(g for g in networks().graphs() if g.name == "velocity")
    assert {feeds["latents"].shape[0] for feeds in recorded(plain)[0]} == {1}


def test_tokens_enter_one_at_a_time_and_their_rings_go_round() -> None:
    graph = next(g for g in prompted().graphs() if g.name == "language")
    fed: list[Arrays] = []

    def echo(feeds: Arrays) -> Arrays:
        fed.append({name: np.array(x) for name, x in feeds.items()})
        new = {state.next_name: np.full((1, 1, state.shape[2]), len(fed), np.float32)
               for state in graph.states}  # fmt: skip
        return {"logits": feeds["tokens"].astype(np.float32), **new}

    tokens = np.arange(30)[None]
    clock = np.arange(30, dtype=np.float32)[None, :, None]
    said = stream_tokens(echo, graph, tokens, clock, {})
    assert np.array_equal(said, tokens[0])
    assert [feeds["clock"].item() for feeds in fed] == list(range(30))
    assert [feeds["filled"].sum() for feeds in fed] == [min(i, 24) for i in range(30)]
    held = fed[-1]["past_1"][0, :, 0]
    assert np.array_equal(held, [25, 26, 27, 28, 29, *range(6, 25)])
    ahead = np.diff([int(feeds["position"][0]) for feeds in fed])
    assert set(ahead) == {1, 1 - 4096}
