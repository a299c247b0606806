"""A fixed stream for every graph: what goes in, how its states travel, what comes out.

The same stream runs through a graph in every form it has; what it says is compared by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from export.graphs import Arrays, Graph

CHUNKS = 20
TOKENS = 8
"""Of a chunk, in the stream of a language model."""

Array = npt.NDArray[Any]
Run = Callable[[Arrays], Arrays]


def stream(graph: Graph, run: Run, chunks: int = CHUNKS) -> Array:
    """Everything the graph says about a fixed stream, flat: the floats of its first output."""
    if graph.unit_samples > 1:
        return _stream_audio(graph, run, chunks)
    if graph.name == "decoder":
        return _stream_decoder(graph, run, chunks)
    if graph.name == "language":
        return _stream_language(graph, run, chunks)
    if graph.states:
        return _stream_cached(graph, run, chunks)
    return _stream_plain(graph, run, chunks)


def heard(graph: Graph) -> str:
    """The output that is compared: the first that is no choice among whole numbers."""
    return next(tensor.name for tensor in graph.outputs if tensor.dtype == "float32")


def _stream_audio(graph: Graph, run: Run, chunks: int) -> Array:
    """One take."""
    audio = take(chunks * 16 * graph.unit_samples, int(graph.inputs[0].shape[1]))
    return run({"audio": audio})[heard(graph)].ravel()


def take(samples: int, channels: int) -> npt.NDArray[np.float32]:
    """[1, channels, samples]: noise that swells over 60 dB, a sine, then digital silence."""
    rng = np.random.default_rng(0)
    swell = 10.0 ** np.linspace(-3.5, -0.5, samples)
    audio = rng.standard_normal((1, channels, samples)) * swell
    audio += 0.1 * np.sin(0.07 * np.arange(samples))
    audio[..., -samples // 4 :] = 0.0
    return np.clip(audio, -1, 1).astype(np.float32)


def _stream_decoder(graph: Graph, run: Run, chunks: int) -> Array:
    """Latents in pieces of uneven length."""
    rng = np.random.default_rng(1)
    states, said = graph.initial_states(), []
    for index in range(chunks):
        frames = (16, 1, 7)[index % 3]
        feeds = _noise(graph, rng, {"frames": frames}) | states
        after = run(feeds)
        said.append(after["audio"].ravel())
        states = {s.name: after[s.next_name] for s in graph.states}
    return np.concatenate(said)


def _stream_cached(graph: Graph, run: Run, chunks: int) -> Array:
    """For each chunk a pass with one to three chunks in flight, then its commit."""
    rng = np.random.default_rng(2)
    states, said = graph.initial_states(), []
    for index in range(chunks):
        told = _place(graph, index, chunks)
        flying = _noise(graph, rng, {"batch": 2, "chunks": 1 + index % 3}) | told
        said.append(run(flying | states)["velocity"].ravel())
        oldest = {name: x[:, :1] for name, x in flying.items() if name not in told} | told
        after = run(oldest | states)
        said.append(after["velocity"].ravel())
        _commit(graph, states, after, index)
    return np.concatenate(said)


def _stream_language(graph: Graph, run: Run, chunks: int) -> Array:
    """Eight tokens a chunk, one at a time, under one brief and one prefix."""
    held = _noise(graph, np.random.default_rng(4), {"n": TOKENS * chunks})
    return stream_tokens(run, graph, held.pop("tokens"), held.pop("clock"), held)


def stream_tokens(run: Run, graph: Graph, tokens: Array, clock: Array, held: Arrays) -> Array:
    """The logits of tokens int64 [1, n] and clock [1, n, K] that enter one at a time; `held`
    stays as it is.
    """
    states, said = graph.initial_states(), []
    for index, token in enumerate(tokens.T):
        now = {"tokens": token[None], "clock": clock[:, index : index + 1]}
        after = run(held | now | _place(graph, index, tokens.size) | states)
        said.append(after["logits"].ravel())
        _commit(graph, states, after, index)
    return np.concatenate(said)


def _place(graph: Graph, index: int, count: int) -> Arrays:
    """`position`, which passes its period in the middle of a stream of `count`, and `filled`."""
    assert graph.position_period is not None
    slots = next(tensor for tensor in graph.inputs if tensor.name == "filled").resolve({})[1]
    position = (graph.position_period - count // 2 + index) % graph.position_period
    filled = (np.arange(slots) < index).astype(np.float32)[None]
    return {"position": np.array([position]), "filled": filled}


def _commit(graph: Graph, states: Arrays, after: Arrays, index: int) -> None:
    """Ring states take the first of the run into the next slot; plain ones are replaced.

    Where rows of a batch share a state, the first row is what is kept.
    """
    for state in graph.states:
        new = after[state.next_name][: int(state.shape[0])]
        if state.ring_axis is None:
            states[state.name] = new
        else:
            ring = states[state.name].astype(new.dtype)
            slots = np.moveaxis(ring, state.ring_axis, 0)
            slots[index % len(slots)] = np.moveaxis(new, state.ring_axis, 0)[0]
            states[state.name] = ring


def _stream_plain(graph: Graph, run: Run, chunks: int) -> Array:
    """One run after the other, longer and longer where lengths are free."""
    rng = np.random.default_rng(3)
    feeds = [
        _noise(graph, rng, {"tokens": 4 + 5 * i, "words": 1 + i, "n": 1 + 3 * i})
        for i in range(chunks)
    ]
    return np.concatenate([run(one)[heard(graph)].ravel() for one in feeds])


def _noise(graph: Graph, rng: np.random.Generator, sizes: dict[str, int]) -> Arrays:
    """What a graph may meet, but for its `position` and `filled`.

    Whole numbers as it knows them, angles in 0…π/2, embeddings of length 1, briefs that are
    mostly free, and N(0, 1) for the rest.
    """
    feeds: Arrays = {}
    for tensor in graph.inputs:
        if tensor.name in ("position", "filled"):
            continue
        shape = tensor.resolve(sizes)
        noise: Array = rng.standard_normal(shape, np.float32)
        if tensor.dtype == "int64":
            noise = rng.integers(0, graph.ids, shape)
        elif tensor.name == "angle":
            noise = rng.uniform(0, np.pi / 2, shape).astype(np.float32)
        elif tensor.name == "embedding":
            noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
        elif tensor.name == "brief":
            noise = (rng.random(shape) < 0.1).astype(np.float32)
        feeds[tensor.name] = noise
    return feeds
