"""The networks as the engine meets them: named tensors in, named tensors out, states by name.

A `Graph` holds a module that maps a dict of tensors to a dict of tensors, and the description of
both that goes into the manifest. What the engine requires of each is in `engine.graphs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.tensors import GraphSpec, Shape, StateSpec, TensorSpec
from model.autoencoder import LiveAutoencoder
from model.descent import descended
from model.language import LanguageModel
from model.layers import POSITION_PERIOD, SRULayer
from model.presets import VelocityPreset
from model.velocity import VelocityNetwork, ring_axis

Feeds = dict[str, Tensor]
Arrays = dict[str, npt.NDArray[Any]]
DTYPES = {"float32": torch.float32, "int64": torch.int64}


@dataclass(frozen=True)
class Graph:
    """One network: its module, and the tensors at its door."""

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    position_period: int | None = None
    unit_samples: int = 1  # audio comes in whole multiples of so many samples
    ids: int = 8  # whole numbers that enter are smaller than this
    unrolled: bool = False  # there is no other form: what goes step by step is unrolled

    @property
    def entering(self) -> tuple[TensorSpec, ...]:
        """Inputs and states, in order."""
        return (*self.inputs, *self.states)

    @property
    def leaving(self) -> tuple[str, ...]:
        """Names of the outputs and of the next states, in order."""
        return (*(t.name for t in self.outputs), *(s.next_name for s in self.states))

    def example(self, sizes: Mapping[str, int]) -> Feeds:
        """Small positive tensors of the right shapes, free axes of the given sizes."""
        return {t.name: torch.rand(t.resolve(sizes)).to(DTYPES[t.dtype]) for t in self.entering}

    def initial_states(self, batch: int = 1) -> Arrays:
        """The states before the first run, of so many rows where their number is free."""
        sizes = {"batch": batch}
        return {s.name: np.full(s.resolve(sizes), s.initial, np.float32) for s in self.states}

    def spec(self, file: str, variants: Mapping[str, str]) -> GraphSpec:
        """The entry in the manifest."""
        return GraphSpec(
            file, self.inputs, self.outputs, self.states, self.position_period, dict(variants)
        )


class EncoderDoor(nn.Module):
    """Audio to unit variance latents."""

    def __init__(self, autoencoder: LiveAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, feeds: Feeds) -> Feeds:
        """Audio [1, C, samples] -> latents [1, frames, dim]."""
        return {"latents": self.autoencoder.normalised(feeds["audio"])}


class DecoderDoor(nn.Module):
    """Unit variance latents to audio, with states. Counters travel as float32, exact to 2²⁴."""

    def __init__(self, autoencoder: LiveAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.initial = autoencoder.decoder.initial_states()

    def forward(self, feeds: Feeds) -> Feeds:
        """Latents [1, frames, dim] and states -> audio [1, C, samples] and the next states."""
        latents = feeds["latents"]
        states = {
            name: feeds[name].to(latents.dtype if value.is_floating_point() else value.dtype)
            for name, value in self.initial.items()
        }
        audio, after = self.autoencoder.step(latents, states)
        return {"audio": audio, **next_states(after, self.initial, latents.dtype)}


class CachedDoor(nn.Module):
    """The velocity of the chunks in flight, looking back on a cache."""

    def __init__(self, velocity: VelocityNetwork) -> None:
        super().__init__()
        self.velocity = velocity
        self.initial = velocity.initial_states()

    def forward(self, feeds: Feeds) -> Feeds:
        """Latents [1, chunks, frames, dim] and the rest -> velocity and the next states."""
        velocity, after = self.velocity.cached_pass(
            feeds["latents"], feeds["angle"], feeds["position"], feeds["filled"],
            feeds["sees"], feeds["before"], {name: feeds[name] for name in self.initial},
            **{name: feeds[name] for name in self.velocity.preset.conditions},
        )  # fmt: skip
        return {"velocity": velocity, **next_states(after, self.initial, velocity.dtype)}


class DescendDoor(nn.Module):
    """A finished chunk and those in flight, several passes further: exports to one Scan.

    In torch they go step by step, for torch traces a scan anew whenever it is called.
    """

    def __init__(self, velocity: VelocityNetwork) -> None:
        super().__init__()
        self.velocity = velocity
        self.initial = velocity.initial_states()

    def forward(self, feeds: Feeds) -> Feeds:
        """Latents [B, chunks, frames, dim] and the rest -> those further down, and next states."""
        latents, after = descended(
            self.velocity, feeds["latents"], feeds["angles"], feeds["position"],
            feeds["filled"], feeds["sees"], feeds["before"],
            {name: feeds[name] for name in self.initial}, scan=torch.compiler.is_exporting(),
            **{name: feeds[name] for name in self.velocity.preset.conditions},
        )  # fmt: skip
        return {"descended": latents, **next_states(after, self.initial, latents.dtype)}


class WindowDoor(nn.Module):
    """The velocity of a whole window, as published."""

    def __init__(self, velocity: VelocityNetwork) -> None:
        super().__init__()
        self.velocity = velocity

    def forward(self, feeds: Feeds) -> Feeds:
        """Latents [1, frames, dim] and the rest -> velocity [1, frames, dim]."""
        return {
            "velocity": self.velocity.window_pass(
                feeds["latents"], feeds["angle"],
                **{name: feeds[name] for name in self.velocity.preset.conditions},
            )
        }  # fmt: skip


def encoder_graph(autoencoder: LiveAutoencoder) -> Graph:
    """A take to latents: any whole number of frames."""
    preset = autoencoder.preset
    return Graph(
        "encoder",
        EncoderDoor(autoencoder),
        (TensorSpec("audio", "float32", (1, preset.channels, "samples")),),
        (TensorSpec("latents", "float32", (1, "frames", preset.dim)),),
        unit_samples=preset.frame_samples,
    )


def decoder_graph(autoencoder: LiveAutoencoder) -> Graph:
    """Latents to audio, causal: any number of frames at a time."""
    preset = autoencoder.preset
    door = DecoderDoor(autoencoder)
    return Graph(
        "decoder",
        door,
        (TensorSpec("latents", "float32", (1, "frames", preset.dim)),),
        (TensorSpec("audio", "float32", (1, preset.channels, "samples")),),
        tuple(StateSpec(name, "float32", tuple(x.shape)) for name, x in door.initial.items()),
    )


def velocity_graph(velocity: VelocityNetwork, context: str) -> Graph:
    """The velocity network in `cached` or `window` context."""
    return _cached_graph(velocity) if context == "cached" else _window_graph(velocity)


def _cached_graph(velocity: VelocityNetwork) -> Graph:
    """Any number of streams, each with any number of chunks in flight; rows know nothing of each
    other. `key_*` and `value_*` are rings over the finished chunks.
    """
    door = CachedDoor(velocity)
    latents, *placed = _chunks(velocity)
    return Graph(
        "velocity",
        door,
        (latents, TensorSpec("angle", "float32", ("batch", "chunks")), *placed),
        (replace(latents, name="velocity"),),
        _rings(door.initial),
        position_period=_period(velocity),
        ids=velocity.preset.vocabulary + 1,
    )


def descend_graph(velocity: VelocityNetwork) -> Graph:
    """A finished chunk enters the rings, and passes in a row for the chunks in flight behind it."""
    door = DescendDoor(velocity)
    latents, *placed = _chunks(velocity)
    return Graph(
        "descend",
        door,
        (latents, TensorSpec("angles", "float32", ("batch", "rungs", "chunks")), *placed),
        (replace(latents, name="descended"),),
        _rings(door.initial),
        position_period=_period(velocity),
        ids=velocity.preset.vocabulary + 1,
        unrolled=True,
    )


def _chunks(velocity: VelocityNetwork) -> tuple[TensorSpec, ...]:
    """Latents of chunks, where they stand, what they look back on and what they are asked."""
    preset = velocity.preset
    latents = ("batch", "chunks", preset.chunk_frames, preset.dim)
    return (
        TensorSpec("latents", "float32", latents),
        TensorSpec("position", "int64", ("batch", "chunks")),
        TensorSpec("filled", "float32", ("batch", "chunks", preset.context_chunks)),
        TensorSpec("sees", "float32", ("batch", "chunks", "chunks")),
        TensorSpec("before", "int64", ("batch", "chunks")),
        *_conditions(
            preset, ("batch", "chunks", preset.chunk_frames // preset.token_frames), latents
        ),
    )


def _rings(initial: Feeds) -> tuple[StateSpec, ...]:
    """The states of the velocity network, a row for each stream."""
    return tuple(
        StateSpec(name, "float32", ("batch", *x.shape[1:]), ring_axis=ring_axis(name))
        for name, x in initial.items()
    )


def _period(velocity: VelocityNetwork) -> int:
    return POSITION_PERIOD // gcd(
        POSITION_PERIOD, velocity.preset.chunk_frames // velocity.half_frames
    )


def _window_graph(velocity: VelocityNetwork) -> Graph:
    """A window of a fixed number of chunks."""
    preset = velocity.preset
    frames = preset.context_chunks * preset.chunk_frames
    latents = (1, frames, preset.dim)
    return Graph(
        "velocity",
        WindowDoor(velocity),
        (
            TensorSpec("latents", "float32", latents),
            TensorSpec("angle", "float32", (1, frames)),
            *_conditions(preset, (1, frames // preset.token_frames), latents),
        ),
        (TensorSpec("velocity", "float32", latents),),
        ids=preset.vocabulary + 1,
    )


def _conditions(preset: VelocityPreset, tokens: Shape, latents: Shape) -> list[TensorSpec]:
    """One brief stands beside each row of tokens."""
    known = {
        "tokens": TensorSpec("tokens", "int64", tokens),
        "brief": TensorSpec("brief", "float32", (*tokens[:-1], preset.brief)),
        "guide": TensorSpec("guide", "float32", latents),
    }
    return [known[name] for name in preset.conditions]


def next_states(after: Feeds, initial: Feeds, dtype: torch.dtype) -> Feeds:
    """The next states under their names, in the order of the initial ones."""
    return {f"{name}_next": after[name].to(dtype) for name in initial}


@contextmanager
def form(module: nn.Module, scan: bool, marking: bool = False) -> Iterator[None]:
    """Inside, what goes step by step is one scan or unrolled, and what the velocity network looks
    back on is marked or not (`model.layers.marked`).
    """
    wanted = {SRULayer: ("scan", scan), LanguageModel: ("scan", scan),
              VelocityNetwork: ("marking", marking)}  # fmt: skip
    turned = [(m, *wanted[type(m)]) for m in module.modules() if type(m) in wanted]
    before = [getattr(m, name) for m, name, _ in turned]
    for m, name, value in turned:
        setattr(m, name, value)
    try:
        yield
    finally:
        for (m, name, _), was in zip(turned, before, strict=True):
            setattr(m, name, was)
