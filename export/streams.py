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

PLACED = ("position", "filled", "sees", "before")
"""Inputs that say where a pass stands and what it looks back on."""

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
    if graph.name == "write":
        return _stream_write(graph, run, chunks)
    if graph.name == "descend":
        return _stream_descend(graph, run, chunks)
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
    """Two rows at different places of different lives; in each pass the chunk before is committed
    in front of one to three in flight.
    """
    rng = np.random.default_rng(2)
    states, said = graph.initial_states(batch=2), []
    waiting: Arrays = {}
    for index in range(chunks):
        flying = _noise(graph, rng, {"batch": 2, "chunks": 1 + index % 3})
        both = {
            name: np.concatenate([waiting[name], x], axis=1) if waiting else x
            for name, x in flying.items()
        }
        after = run(both | _places(graph, index, chunks, both["angle"].shape[1]) | states)
        said.append(after["velocity"].ravel())
        if waiting:
            _commit(graph, states, after, index - 1)
        waiting = {name: x[:, :1] for name, x in flying.items()}
    return np.concatenate(said)


def _stream_descend(graph: Graph, run: Run, chunks: int) -> Array:
    """Two rows of one to three chunks, which take two to five passes behind the chunk before."""
    rng = np.random.default_rng(5)
    states, said = graph.initial_states(batch=2), []
    for index in range(1, chunks + 1):
        flying, passes = 1 + index % 3, 2 + index % 4
        feeds = _noise(graph, rng, {"batch": 2, "chunks": 1 + flying, "rungs": passes + 1})
        height = np.array([0.3, *np.linspace(1.5, 0.3, flying)])
        fall = np.array([0.0, *[0.3] * flying])
        feeds["angles"] = np.tile(np.linspace(height, height - fall, passes + 1), (2, 1, 1)).astype(
            np.float32
        )
        after = run(feeds | _places(graph, index, chunks, 1 + flying) | states)
        said.append(after["descended"].ravel())
        _commit(graph, states, after, index - 1)
    return np.concatenate(said)


def _places(graph: Graph, index: int, count: int, chunks: int) -> Arrays:
    """Where the chunks of a pass stand, and what they see, of two rows; the first of them is
    number `index` − 1, or 0 at the beginning. The second row has half of the first one's past, and
    passes the period in the middle of a stream of `count`.
    """
    assert graph.position_period is not None
    ring = _size(graph, "filled")
    first = max(index - 1, 0)
    place = first + np.arange(chunks)
    known = np.array([first, first // 2])
    filled = np.arange(ring) >= ring - known[:, None]  # the slots before that of chunk 0
    filled = np.roll(filled, first, axis=1)[:, None].repeat(chunks, axis=1).astype(np.float32)
    filled[:, 1:, first % ring] = 0.0
    starts = np.array([[0], [graph.position_period - count // 2]])
    return {
        "position": (starts + place) % graph.position_period,
        "filled": filled,
        "sees": np.tril(np.ones((2, chunks, chunks), np.float32)),
        "before": np.array([[(first - 1) % ring, *range(ring, ring + chunks - 1)]] * 2),
    }


def _size(graph: Graph, name: str) -> int:
    """Of the last axis of an input."""
    return int(next(tensor for tensor in graph.inputs if tensor.name == name).shape[-1])


def _stream_language(graph: Graph, run: Run, chunks: int) -> Array:
    """Eight tokens a chunk, one at a time, under one brief and one prefix."""
    held = _noise(graph, np.random.default_rng(4), {"n": TOKENS * chunks})
    return stream_tokens(run, graph, held.pop("tokens"), held.pop("clock"), held)


def _stream_write(graph: Graph, run: Run, chunks: int) -> Array:
    """Runs of eight, one and five tokens under one brief and one prefix, the rings as they fill.

    What is favoured decides, so that tokens are the same in every form.
    """
    rng = np.random.default_rng(6)
    held, states, said, index = _noise(graph, rng, {"n": 1}), graph.initial_states(), [], 0
    slots = _size(graph, "filled")
    for chunk in range(chunks):
        count = (TOKENS, 1, 5)[chunk % 3]
        now = _noise(graph, rng, {"n": count})
        wanted = rng.integers(0, graph.ids - 1, count)
        now["favour"][0, np.arange(count), wanted] += 1000.0
        filled = np.arange(slots) < index
        place = {
            "position": _position(graph, index, TOKENS * chunks),
            "filled": np.repeat(filled[None, None], count, 1).astype(np.float32),
        }
        after = run(held | {k: now[k] for k in ("favour", "clock")} | place | states)
        assert np.array_equal(after["tokens"][0], wanted), "a token that was not favoured"
        said.append(after["logits"].ravel())
        held["token"] = after["tokens"][:, -1:]
        _commit(graph, states, after, index, count)
        index += count
    return np.concatenate(said)


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
    slots = _size(graph, "filled")
    filled = (np.arange(slots) < index).astype(np.float32)[None]
    return {"position": _position(graph, index, count), "filled": filled}


def _position(graph: Graph, index: int, count: int) -> Array:
    assert graph.position_period is not None
    return np.array([(graph.position_period - count // 2 + index) % graph.position_period])


def _commit(graph: Graph, states: Arrays, after: Arrays, index: int, count: int = 1) -> None:
    """Rings take the first `count` of the run into their next slots; plain states are replaced."""
    for state in graph.states:
        new = after[state.next_name]
        if state.ring_axis is None:
            states[state.name] = new
        else:
            ring = states[state.name].astype(new.dtype)
            slots = np.moveaxis(ring, state.ring_axis, 0)
            places = np.arange(index, index + count) % len(slots)
            slots[places] = np.moveaxis(new, state.ring_axis, 0)[:count]
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
    """What a graph may meet, but for what says where it stands.

    Whole numbers as it knows them, angles in 0…π/2, embeddings of length 1, briefs that are
    mostly free, and N(0, 1) for the rest.
    """
    feeds: Arrays = {}
    for tensor in graph.inputs:
        if tensor.name in PLACED:
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
