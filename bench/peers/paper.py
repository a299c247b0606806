"""The published sizes of MeLoDy (`paper` of model.presets), in torch, beside the live bundle.

A window of four chunks, 10.24 s, goes through every pass. From nothing, T passes fill it at once,
which is how the published real-time factors were taken; after that a chunk of 2.56 s costs T
passes (Algorithm 2), and a change of prompt waits for the next chunk. A pass costs the same on
every rung, so the rows for 5 and 10 steps come from the same measured passes. In its favour, the
language model of 429.5 M is left out, and so is guidance, which would double every pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import torch

from bench import machine
from bench.peers.stopwatch import MUSIC, Decoder, Measured, Task, repeat
from bench.peers.torches import millions, settled
from model.autoencoder_paper import PaperAutoencoder, PaperPreset
from model.presets import PAPER, VelocityPreset
from model.velocity import VelocityNetwork

STEPS = (5, 10)
TURN = pi / 20  # of one step; its size costs nothing


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts that every ladder is made of, one entry a repetition."""

    pass_s: Sequence[float]
    window_decode_s: Sequence[float]
    chunk_decode_s: Sequence[float]

    def chunks(self, steps: int) -> list[float]:
        """The cost of a chunk after `steps` passes, each entry as if all passes were like it."""
        return [steps * one + max(self.chunk_decode_s) for one in self.pass_s]

    def windows(self, steps: int) -> list[float]:
        """The cost of a whole window."""
        return [steps * one + max(self.window_decode_s) for one in self.pass_s]


class Paper:
    """Velocity network in window context, and decoder."""

    def __init__(
        self, velocity: VelocityPreset = PAPER.velocity, autoencoder: PaperPreset | None = None
    ) -> None:
        self.velocity = settled(VelocityNetwork(velocity))
        self.autoencoder = settled(PaperAutoencoder(autoencoder or PaperPreset()))
        del self.autoencoder.encoder
        self.sizes, self.audio = velocity, self.autoencoder.preset
        self.window_frames = velocity.context_chunks * velocity.chunk_frames
        self._latents = torch.randn(1, self.window_frames, velocity.dim)
        self._angle = torch.full((1, self.window_frames), pi / 2)
        tokens = -(-self.window_frames // velocity.token_frames)
        self._tokens = torch.randint(0, velocity.vocabulary, (1, tokens))

    def seconds(self, frames: int) -> float:
        """Audio of so many latent frames."""
        return frames * self.audio.frame_samples / self.audio.sample_rate_hz

    @torch.inference_mode()
    def one_pass(self) -> None:
        """The whole window one rung down."""
        velocity = self.velocity.window_pass(self._latents, self._angle, self._tokens)
        self._latents = cos(TURN) * self._latents - sin(TURN) * velocity

    @torch.inference_mode()
    def decode(self, frames: int) -> object:
        """Audio of so many frames."""
        return self.autoencoder.decode(torch.randn(1, frames, self.sizes.dim))


def measure(task: Task) -> list[Measured]:
    """Two rows, one a number of steps."""
    return rows(Paper(), task)


def rows(paper: Paper, task: Task) -> list[Measured]:
    """The rows of these sizes; at least two passes, half of the patience for them."""
    loaded_mb = machine.memory_mb()
    quarter_s = task.patience_s / 4
    costs = Costs(
        repeat(paper.one_pass, 2 * quarter_s, least=2, most=10, warm=0),
        repeat(lambda: paper.decode(paper.window_frames), quarter_s, most=5, warm=0),
        repeat(lambda: paper.decode(paper.sizes.chunk_frames), quarter_s, most=5, warm=0),
    )
    return [_row(paper, steps, costs, task.threads, loaded_mb) for steps in STEPS]


def _row(paper: Paper, steps: int, costs: Costs, threads: int, loaded_mb: float) -> Measured:
    window_s = paper.seconds(paper.window_frames)
    return Measured(
        name=f"paper, {steps} steps", kind=MUSIC,
        what=f"torch, windows of {window_s:g} s, {len(costs.pass_s)} passes measured",
        rate_hz=paper.audio.sample_rate_hz,
        million_parameters=millions(paper.velocity, paper.autoencoder.decoder), threads=threads,
        unit_s=paper.seconds(paper.sizes.chunk_frames), unit_costs_s=costs.chunks(steps),
        first_audio_s=costs.chunks(steps),
        real_time_factors=[cost / window_s for cost in costs.windows(steps)],
        steered_units=1, loaded_mb=loaded_mb,
    )  # fmt: skip


def measure_decoder(task: Task) -> list[Measured]:
    """The decoder alone."""
    preset = PaperPreset()
    autoencoder = settled(PaperAutoencoder(preset))
    del autoencoder.encoder

    @torch.inference_mode()
    def decode(frames: int) -> object:
        return autoencoder.decode(torch.randn(1, frames, preset.dim))

    decoder = Decoder(
        "paper-decoder", "torch, HiFi-GAN as published", decode, preset.sample_rate_hz,
        preset.frame_samples, millions(autoencoder.decoder),
    )  # fmt: skip
    return [decoder.measured(task, machine.memory_mb())]
