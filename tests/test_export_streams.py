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


def test_two_streams_go_in_and_each_chunk_is_committed_by_the_pass_behind_it() -> None:
    graph = next(g for g in prompted().graphs() if g.name == "velocity")
    fed, _ = recorded(graph)
    assert [feeds["latents"].shape[:2] for feeds in fed] == [(2, 1), (2, 3)]
    assert np.array_equal(fed[1]["latents"][:, :1], fed[0]["latents"])
    assert fed[0]["position"][0] != fed[0]["position"][1]
    assert all(feeds["key_0"].shape[0] == 2 for feeds in fed)


def test_a_chunk_sees_the_ring_without_the_slot_that_is_being_taken() -> None:
    graph = next(g for g in networks().graphs() if g.name == "velocity")
    run, fed = in_torch(graph, torch.float32), []

    def noted(feeds: Arrays) -> Arrays:
        fed.append(feeds)
        return run(feeds)

    stream(graph, noted, 9)
    last = fed[-1]  # the seventh chunk is committed; the ring of six is full
    assert last["filled"][0, 0].tolist() == [1.0] * 6
    assert last["filled"][0, 1].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert last["filled"][1, 0].sum() == 3
    assert last["before"][0].tolist()[:3] == [0, 6, 7]


def test_tokens_enter_one_at_a_time_and_their_rings_go_round() -> None:
    graph = next(g for g in prompted().graphs() if g.name == "language")
    fed: list[Arrays] = []

    def echo(feeds: Arrays) -> Arrays:
        fed.append({name: np.array(x) for name, x in feeds.items()})
        new = {
            state.next_name: np.full(state.next_spec.resolve({"chunks": 1}), len(fed), np.float32)
            for state in graph.states
        }
        return {"logits": feeds["tokens"].astype(np.float32), **new}

    tokens = np.arange(30)[None]
    clock = np.arange(30, dtype=np.float32)[None, :, None]
    said = stream_tokens(echo, graph, tokens, clock, {})
    assert np.array_equal(said, tokens[0])
    assert [feeds["clock"].item() for feeds in fed] == list(range(30))
    assert [feeds["filled"].sum() for feeds in fed] == [min(i, 24) for i in range(30)]
    last = graph.states[-1]
    assert last.ring_axis is not None
    held = np.moveaxis(fed[-1][last.name], last.ring_axis, 0).reshape(24, -1)[:, 0]
    assert np.array_equal(held, [25, 26, 27, 28, 29, *range(6, 25)])
    ahead = np.diff([int(feeds["position"][0]) for feeds in fed])
    assert set(ahead) == {1, 1 - 4096}
