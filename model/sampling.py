"""Continuation in plain torch: the reference that the engine is compared with."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from engine.angles import schedule
from model.velocity import States, VelocityNetwork


class CachedSampler:
    """Cached context in torch: commit finished chunks, turn noise into the next one (J = 1)."""

    def __init__(self, network: VelocityNetwork, batch: int = 1) -> None:
        self.network = network
        self.states: States = network.initial_states(batch)
        self.filled = torch.zeros(batch, network.preset.context_chunks)
        self.index = 0

    def velocity(self, chunk: Tensor, angle: float) -> tuple[Tensor, States]:
        """chunk [B, C, dim] at `angle` -> velocity [B, C, dim], next states."""
        angles = torch.full((chunk.shape[0], 1), angle)
        v, after = self.network.cached_pass(
            chunk[:, None], angles, torch.tensor([self.index]), self.filled, self.states
        )
        return v[:, 0], after

    @torch.no_grad()
    def commit(self, chunk: Tensor) -> None:
        """A finished chunk [B, C, dim] enters the cache."""
        _, after = self.velocity(chunk, self.network.context_angle)
        slot = self.index % self.network.preset.context_chunks
        for name, value in after.items():
            if name == "tail":
                self.states[name] = value
            else:
                self.states[name][:, slot] = value[:, 0]
        self.filled[:, slot] = 1.0
        self.index += 1

    @torch.no_grad()
    def next_chunk(self, noise: Tensor, steps: int) -> Tensor:
        """noise [B, C, dim] -> a finished chunk, committed (Algorithm 2; DDIM step)."""
        angles = schedule(steps)
        z = noise
        for high, low in pairwise(angles):
            v, _ = self.velocity(z, float(high))
            turn = torch.tensor(high - low, dtype=z.dtype)
            z = torch.cos(turn) * z - torch.sin(turn) * v
        self.commit(z)
        return z


@torch.no_grad()
def continued(network: VelocityNetwork, context: Tensor, chunks: int, steps: int) -> Tensor:
    """context [B, frames, dim] (whole chunks) -> [B, chunks·C, dim] that go on from it."""
    sampler = CachedSampler(network, context.shape[0])
    for chunk in context.split(network.preset.chunk_frames, dim=1):
        sampler.commit(chunk)
    shape = (context.shape[0], network.preset.chunk_frames, context.shape[2])
    return torch.cat([sampler.next_chunk(torch.randn(shape), steps) for _ in range(chunks)], 1)
