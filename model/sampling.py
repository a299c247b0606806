"""Continuation in plain torch: the reference that the engine is compared with."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from engine.angles import schedule
from model.velocity import States, VelocityNetwork, ring_axis


class CachedSampler:
    """Cached context in torch: commit finished chunks, turn noise into the next one (J = 1)."""

    def __init__(self, network: VelocityNetwork, batch: int = 1) -> None:
        self.network = network
        self.states: States = network.initial_states(batch)
        self.filled = torch.zeros(batch, network.preset.context_chunks)
        self.index = 0

    def velocity(
        self, chunk: Tensor, angle: float, tokens: Tensor | None = None
    ) -> tuple[Tensor, States]:
        """chunk [B, C, dim] at `angle`, tokens [B, n] -> velocity [B, C, dim], what it leaves."""
        one = (chunk.shape[0], 1)
        before = (self.index - 1) % self.network.preset.context_chunks
        v, after = self.network.cached_pass(
            chunk[:, None], torch.full(one, angle), torch.full(one, self.index),
            self.filled[:, None], torch.ones(*one, 1), torch.full(one, before), self.states,
            None if tokens is None else tokens[:, None],
        )  # fmt: skip
        return v[:, 0], after

    @torch.no_grad()
    def commit(self, chunk: Tensor, tokens: Tensor | None = None) -> None:
        """A finished chunk [B, C, dim] enters the cache."""
        _, after = self.velocity(chunk, self.network.context_angle, tokens)
        slot = self.index % self.network.preset.context_chunks
        for name, value in after.items():
            axis = ring_axis(name)
            self.states[name].select(axis, slot)[...] = value.select(axis, 0)
        self.filled[:, slot] = 1.0
        self.index += 1

    @torch.no_grad()
    def next_chunk(self, noise: Tensor, steps: int, tokens: Tensor | None = None) -> Tensor:
        """noise [B, C, dim] -> a finished chunk, committed (Algorithm 2; DDIM step)."""
        angles = schedule(steps)
        z = noise
        for high, low in pairwise(angles):
            v, _ = self.velocity(z, float(high), tokens)
            turn = torch.tensor(high - low, dtype=z.dtype)
            z = torch.cos(turn) * z - torch.sin(turn) * v
        self.commit(z, tokens)
        return z


@torch.no_grad()
def continued(
    network: VelocityNetwork, context: Tensor, chunks: int, steps: int, tokens: Tensor | None = None
) -> Tensor:
    """context [B, frames, dim] (whole chunks) -> [B, chunks·C, dim] that go on from it.

    tokens int64 [B, n] are those of the context and of what is to come.
    """
    p = network.preset
    sampler = CachedSampler(network, context.shape[0])
    known = context.split(p.chunk_frames, dim=1)
    count = p.chunk_frames // p.token_frames
    of = [None] * (len(known) + chunks) if tokens is None else list(tokens.split(count, dim=1))
    for chunk, said in zip(known, of, strict=False):
        sampler.commit(chunk, said)
    shape = (context.shape[0], p.chunk_frames, context.shape[2])
    coming = of[len(known) : len(known) + chunks]
    return torch.cat([sampler.next_chunk(torch.randn(shape), steps, said) for said in coming], 1)
