"""The stand-in backend: a bundle in memory that makes a sine, through the real contract.

`bundle()` gives the bundle, `StandIn` runs it, and `Faults` breaks it on purpose: slow, failing,
or returning what must never be played.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.backends.parrot import WORDS, Parrot, prompting_graphs, prompting_of
from engine.backends.sine import BLOCKS, PLACE_PERIOD, TAIL_FRAMES, Outputs, Sine
from engine.bundle import Bundle
from engine.controls import default_controls, prompting_controls
from engine.errors import UsageError
from engine.graphs import check_graphs
from engine.manifest import Manifest
from engine.session import Array, Session
from engine.spec import AudioSpec, ContextSpec, LadderSpec, LatentSpec, PromptingSpec
from engine.tensors import GraphSpec, Shape, StateSpec, TensorSpec

Poison = Literal["", "nan", "inf", "dc", "loud"]


@dataclass
class Faults:
    """What goes wrong from now on, in one graph."""

    graph: str = "decoder"
    delay_s: float = 0.0
    error: Exception | None = None
    poison: Poison = ""

    def poisoned(self, outputs: Outputs) -> Outputs:
        """The outputs, the first of them spoilt."""
        name, value = next(iter(outputs.items()))
        if self.poison in ("nan", "inf"):
            value = np.full_like(value, np.nan if self.poison == "nan" else np.inf)
        elif self.poison == "dc":
            value = value + np.float32(0.6)
        elif self.poison == "loud":
            value = value * np.float32(1000.0)
        return {**outputs, name: value}


class StandInSession:
    """One of the networks as a session."""

    def __init__(
        self, graph: str, compute: Callable[[Mapping[str, Array]], Outputs], faults: Faults
    ) -> None:
        self._graph = graph
        self._compute = compute
        self._faults = faults

    def run(
        self, feeds: Mapping[str, Array], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """All outputs by name; those named in `out` are written there and returned."""
        outputs = self._compute(feeds)
        if self._faults.graph == self._graph:
            if self._faults.delay_s:
                time.sleep(self._faults.delay_s)
            if self._faults.error is not None:
                raise self._faults.error
            outputs = self._faults.poisoned(outputs)
        for name, array in (out or {}).items():
            array[...] = outputs[name]
        return {**outputs, **(out or {})}

    def bind(self, feeds: Mapping[str, Array], out: Mapping[str, Array]) -> Callable[[], None]:
        """A call that runs the network from `feeds` into `out`."""

        def bound() -> None:
            self.run(feeds, out)

        return bound


class StandIn:
    """The stand-in backend. `faults` may be changed while it runs."""

    name = "standin"

    def __init__(self, bundle: Bundle, faults: Faults | None = None) -> None:
        if bundle.manifest.name != "standin":
            raise UsageError(f"the stand-in cannot play bundle {bundle.manifest.name}: use auto")
        self.faults = faults or Faults()
        sine = Sine(bundle.manifest)
        cached = bundle.manifest.context.kind == "cached"
        self._graphs = {
            "encoder": sine.encoder,
            "decoder": sine.decoder,
            "velocity": sine.cached_velocity if cached else sine.window_velocity,
            "descend": sine.descend,
        }
        if bundle.manifest.prompting is not None:
            self._graphs |= Parrot(bundle.manifest).graphs

    def providers(self) -> list[str]:
        """Numpy, and nothing else."""
        return ["numpy"]

    def session(self, graph: str) -> Session:
        """The session of one graph."""
        return StandInSession(graph, self._graphs[graph], self.faults)


def bundle(
    *, kind: str = "cached", sample_rate_hz: int = 24000, channels: int = 1, dim: int = 8,
    chunk_frames: tuple[int, ...] = (16, 8), context_chunks: int = 6, steps: int = 10,
    depth: int = 1, fallback_steps: tuple[int, ...] = (6, 4, 2),
    prompting: bool = False, descends: bool = False,
) -> Bundle:  # fmt: skip
    """A bundle in memory for `StandIn`; by default of the live preset's format.

    With `prompting` it takes prompts and has all the controls that go with them; one that
    `descends` takes the passes of a cached context in one run.
    """
    asked = prompting_of() if prompting else None
    velocity = _cached(dim, context_chunks, asked) if kind == "cached" else _window(dim)
    ladder = LadderSpec(steps, depth, fallback_steps)
    frame = sample_rate_hz // 50
    decoder_states = [("phase", (1, 1)), ("level", (1, 1)), ("overlap", (1, 1, frame))]
    manifest = Manifest(
        name="standin",
        version="1",
        licence="Apache-2.0",
        audio=AudioSpec(sample_rate_hz, channels),
        latent=LatentSpec(50, dim, frame),
        chunk_frames=chunk_frames,
        context=ContextSpec(kind, context_chunks, 0.02),
        ladder=ladder,
        conditions=("tokens", "brief") if asked else (),
        controls=default_controls(ladder) + (prompting_controls(asked.vocabulary) if asked else ()),
        graphs={
            "encoder": _graph(
                "encoder", [("audio", (1, channels, "samples"))], ("latents", (1, "frames", dim))
            ),
            "decoder": _graph(
                "decoder", [("latents", (1, "frames", dim))],
                ("audio", (1, channels, "samples")),
                tuple(StateSpec(name, "float32", shape) for name, shape in decoder_states),
            ),
            "velocity": velocity,
            **({"descend": _descend(velocity)} if descends else {}),
            **(prompting_graphs(asked, channels, dim) if asked else {}),
        },
        files={},
        prompting=asked,
        trained_on="nothing: it computes a sine",
    )  # fmt: skip
    check_graphs(manifest)
    return Bundle(None, manifest, "0" * 64, WORDS if asked else ())


def _graph(
    name: str, inputs: list[tuple[str, Shape]], output: tuple[str, Shape],
    states: tuple[StateSpec, ...] = (),
) -> GraphSpec:  # fmt: skip
    enter, leave = (
        tuple(TensorSpec(tensor, "float32", shape) for tensor, shape in side)
        for side in (inputs, [output])
    )
    return GraphSpec(f"{name}.onnx", enter, leave, states)


def _window(dim: int) -> GraphSpec:
    shape: Shape = (1, "window_frames", dim)
    inputs: list[tuple[str, Shape]] = [("latents", shape), ("angle", (1, "window_frames"))]
    return _graph("velocity", inputs, ("velocity", shape))


def _descend(velocity: GraphSpec) -> GraphSpec:
    """Passes in a row: what the velocity network takes, with angles for each of them."""
    angles = TensorSpec("angles", "float32", ("batch", "rungs", "chunks"))
    kept = [tensor for tensor in velocity.inputs if tensor.name != "angle"]
    descended = TensorSpec("descended", "float32", velocity.input("latents").shape)
    return GraphSpec(
        "descend.onnx", (*kept, angles), (descended,), velocity.states, velocity.position_period
    )


def _cached(dim: int, chunks: int, asked: PromptingSpec | None) -> GraphSpec:
    rows: Shape = ("batch", "chunks")
    shape: Shape = (*rows, "frames", dim)
    inputs = [
        TensorSpec("latents", "float32", shape),
        TensorSpec("angle", "float32", rows),
        TensorSpec("position", "int64", rows),
        TensorSpec("filled", "float32", (*rows, chunks)),
        TensorSpec("sees", "float32", (*rows, "chunks")),
        TensorSpec("before", "int64", rows),
    ]
    if asked:
        inputs.append(TensorSpec("tokens", "int64", (*rows, "tokens")))
        inputs.append(TensorSpec("brief", "float32", (*rows, asked.brief_size)))
    states = (
        StateSpec("keys", "float32", ("batch", BLOCKS, chunks, dim), ring_axis=2),
        StateSpec("places", "float32", ("batch", chunks, 2), ring_axis=1),
        StateSpec("tail", "float32", ("batch", chunks, TAIL_FRAMES, dim), ring_axis=1),
    )
    outputs = (TensorSpec("velocity", "float32", shape),)
    return GraphSpec("velocity.onnx", tuple(inputs), outputs, states, PLACE_PERIOD)
