"""Ours: the shipped bundle through the engine, as `perpetuo serve` plays it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench import machine
from bench.peers.stopwatch import MUSIC, Decoder, Measured, Task, repeat
from bench.ticking import GraphClock, Ticks, run_ticks
from engine.backends import Backend, on_processor
from engine.bundle import Bundle
from engine.controls import Controls
from engine.decoder import StreamDecoder
from engine.generator import Generator
from engine.prompts import Prompt, Prompts
from engine.session import Floats
from engine.words import FUNCTION_WORDS

STREAM_S = 30.0
"""Of music at most, once it plays."""


def measure(task: Task) -> list[Measured]:
    """With a prompt, where the bundle takes any."""
    bundle = Bundle.open(task.bundle)
    clock = GraphClock(on_processor(bundle, threads=task.threads))
    row = measured(bundle, clock, task)
    return [counted(row, bundle)]


def measured(bundle: Bundle, clock: GraphClock, task: Task) -> Measured:
    """The row of a bundle on an open backend."""
    manifest = bundle.manifest
    controls = Controls(manifest.controls)
    generator = Generator(bundle, clock)
    prompts = Prompts(bundle, clock) if manifest.prompting else None
    loaded_mb = machine.memory_mb()

    def begin() -> None:
        if prompts is not None:
            controls.set_prompt(prompts.embed([Prompt(text=prompt_of(bundle))]))
        generator.prime(None)
        generator.tick(controls.snapshot())

    first_s = repeat(begin, task.patience_s / 2, least=3, most=20)
    seconds = max(2 * generator.chunk_s, min(STREAM_S, task.patience_s / 4))
    ticks = run_ticks(generator, clock, controls, seconds)
    return _row(bundle, ticks, first_s, task.threads, loaded_mb)


def _row(
    bundle: Bundle, ticks: Ticks, first_s: list[float], threads: int, loaded_mb: float
) -> Measured:
    manifest, costs_s = bundle.manifest, ticks.costs_s[1:]
    asked = "with a prompt" if manifest.prompting else "no prompt"
    return Measured(
        name="live", kind=MUSIC,
        what=f"ours: bundle {manifest.name}, {manifest.ladder.steps} steps, {asked}",
        rate_hz=manifest.audio.sample_rate_hz, million_parameters=float("nan"),
        threads=threads, unit_s=ticks.chunk_s, unit_costs_s=costs_s, first_audio_s=first_s,
        real_time_factors=[cost / ticks.chunk_s for cost in costs_s],
        steered_units=max(ticks.control_delay_ticks, default=manifest.ladder.depth),
        loaded_mb=loaded_mb,
    )  # fmt: skip


def prompt_of(bundle: Bundle) -> str:
    """Two words that the bundle knows."""
    plain = [word for word in bundle.words if word.isalpha() and word not in FUNCTION_WORDS]
    return " ".join(plain[:2])


def counted(row: Measured, bundle: Bundle) -> Measured:
    """The row with its parameters, and the memory of before they were counted."""
    peak_mb = machine.peak_memory_mb()
    return replace(row, million_parameters=stored_millions(bundle), peak_mb=peak_mb)


def stored_millions(bundle: Bundle) -> float:
    """Values stored for the graphs of a bundle on disk, in millions, each once."""
    import onnx

    found: dict[tuple[str, ...], int] = {}
    for graph in bundle.manifest.graphs.values():
        model = onnx.load(bundle.file(graph.file), load_external_data=False)
        for weight in model.graph.initializer:
            place = tuple(entry.value for entry in weight.external_data if entry.key == "offset")
            found[place or (graph.file, weight.name)] = int(np.prod(weight.dims))
    return sum(found.values()) / 1e6


def measure_decoder(task: Task) -> list[Measured]:
    """The decoder alone, which keeps its past from piece to piece."""
    bundle = decoder_of(Bundle.open(task.bundle))
    stream = Stream(bundle, on_processor(bundle, threads=task.threads))
    return [counted(stream.decoder().measured(task, machine.memory_mb()), bundle)]


def decoder_of(bundle: Bundle) -> Bundle:
    """The bundle without its other graphs, so that nothing else is loaded."""
    graphs = {"decoder": bundle.manifest.graphs["decoder"]}
    return replace(bundle, manifest=replace(bundle.manifest, graphs=graphs))


class Stream:
    """The decoder of a bundle, fed with noise."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self._manifest = bundle.manifest
        self._unit = bundle.manifest.chunk_frames[0]
        self._stream = StreamDecoder(bundle, backend, self._unit)
        self._rng = np.random.default_rng(1)

    def decode(self, frames: int) -> Floats:
        """The next audio, of so many frames."""
        shape = (frames, self._manifest.latent.dim)
        return self._stream.decode(self._rng.standard_normal(shape, np.float32))

    def decoder(self) -> Decoder:
        """As a contender, a chunk at a time."""
        manifest = self._manifest
        return Decoder(
            "live-decoder", f"ours: bundle {manifest.name}, streaming", self.decode,
            manifest.audio.sample_rate_hz, manifest.latent.frame_samples, float("nan"), self._unit,
        )  # fmt: skip
