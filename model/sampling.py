"""Continuation in plain torch: the reference that the engine is compared with."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from engine.angles import schedule
from model.velocity import States, VelocityNetwork, ring_axis


class Sampler(Protocol):
    """Finished chunks are looked back on, noise becomes the next one (J = 1).

    chunk and noise [B, C, dim], tokens int64 [B, n], brief [B, Bf], each of one chunk.
    """

    def commit(
        self, chunk: Tensor, tokens: Tensor | None = None, brief: Tensor | None = None
    ) -> None:
        """A finished chunk, to be looked back on."""
        ...

    def next_chunk(
        self, noise: Tensor, steps: int, tokens: Tensor | None = None, brief: Tensor | None = None
    ) -> Tensor:
        """A finished chunk out of noise, committed (Algorithm 2; DDIM step)."""
        ...


class CachedSampler:
    """Cached context: what finished chunks leave behind is computed once."""

    def __init__(self, network: VelocityNetwork, batch: int = 1) -> None:
        self.network = network
        self.states: States = network.initial_states(batch)
        self.filled = torch.zeros(batch, network.preset.context_chunks)
        self.index = 0

    def velocity(
        self, chunk: Tensor, angle: float, tokens: Tensor | None = None,
        brief: Tensor | None = None,
    ) -> tuple[Tensor, States]:  # fmt: skip
        """chunk [B, C, dim] at `angle` -> velocity [B, C, dim], what it leaves."""
        one = (chunk.shape[0], 1)
        before = (self.index - 1) % self.network.preset.context_chunks
        v, after = self.network.cached_pass(
            chunk[:, None], torch.full(one, angle), torch.full(one, self.index),
            self.filled[:, None], torch.ones(*one, 1), torch.full(one, before), self.states,
            None if tokens is None else tokens[:, None],
            None if brief is None else brief[:, None],
        )  # fmt: skip
        return v[:, 0], after

    @torch.no_grad()
    def commit(
        self, chunk: Tensor, tokens: Tensor | None = None, brief: Tensor | None = None
    ) -> None:
        """A finished chunk enters the cache."""
        _, after = self.velocity(chunk, self.network.context_angle, tokens, brief)
        slot = self.index % self.network.preset.context_chunks
        for name, value in after.items():
            axis = ring_axis(name)
            self.states[name].select(axis, slot)[...] = value.select(axis, 0)
        self.filled[:, slot] = 1.0
        self.index += 1

    @torch.no_grad()
    def next_chunk(
        self, noise: Tensor, steps: int, tokens: Tensor | None = None, brief: Tensor | None = None
    ) -> Tensor:
        """A finished chunk out of noise, committed."""
        z = noise
        for high, low in pairwise(schedule(steps)):
            v, _ = self.velocity(z, float(high), tokens, brief)
            z = turned(z, v, high - low)
        self.commit(z, tokens, brief)
        return z


class WindowSampler:
    """Window context: the whole window in every pass, as published."""

    def __init__(self, network: VelocityNetwork) -> None:
        self.network = network
        self.past: list[tuple[Tensor, Tensor | None]] = []  # chunks and their tokens

    @torch.no_grad()
    def commit(
        self, chunk: Tensor, tokens: Tensor | None = None, brief: Tensor | None = None
    ) -> None:
        """A finished chunk; the oldest leaves a window that is full. A window has one brief."""
        keep = self.network.preset.context_chunks - 1
        self.past = [*self.past, (chunk, tokens)][-keep:]

    @torch.no_grad()
    def next_chunk(
        self, noise: Tensor, steps: int, tokens: Tensor | None = None, brief: Tensor | None = None
    ) -> Tensor:
        """A finished chunk out of noise, committed."""
        size, z = noise.shape[1], noise
        past = [chunk for chunk, _ in self.past]
        said = [one for _, one in self.past] + [tokens]
        known = (
            torch.cat([one for one in said if one is not None], 1) if tokens is not None else None
        )
        angle = torch.full((len(noise), (len(past) + 1) * size), self.network.context_angle)
        for high, low in pairwise(schedule(steps)):
            angle[:, -size:] = float(high)
            v = self.network.window_pass(torch.cat([*past, z], 1), angle, known, brief)
            z = turned(z, v[:, -size:], high - low)
        self.commit(z, tokens)
        return z


def turned(z: Tensor, velocity: Tensor, omega: float) -> Tensor:
    """z at an angle less by omega: cos ω·z − sin ω·v."""
    turn = torch.tensor(omega, dtype=z.dtype)
    return torch.cos(turn) * z - torch.sin(turn) * velocity


@torch.no_grad()
def continued(
    network: VelocityNetwork, context: Tensor, chunks: int, steps: int,
    tokens: Tensor | None = None, brief: Tensor | None = None, kind: str = "cached",
) -> Tensor:  # fmt: skip
    """context [B, frames, dim] (whole chunks) -> [B, chunks·C, dim] that go on from it.

    tokens int64 [B, n] and brief [B, M, Bf] are those of the chunks of the context and of what is
    to come; the network was trained for this `kind` of context.
    """
    p = network.preset
    batch, _, dim = context.shape
    sampler: Sampler = CachedSampler(network, batch) if kind == "cached" else WindowSampler(network)
    known = context.split(p.chunk_frames, dim=1)
    whole = len(known) + chunks
    count = p.chunk_frames // p.token_frames
    of = [None] * whole if tokens is None else list(tokens.split(count, dim=1))
    asked = [None] * whole if brief is None else list(brief.unbind(1))
    for k, chunk in enumerate(known):
        sampler.commit(chunk, of[k], asked[k])
    shape = (batch, p.chunk_frames, dim)
    return torch.cat(
        [sampler.next_chunk(torch.randn(shape), steps, of[k], asked[k])
         for k in range(len(known), whole)], 1,
    )  # fmt: skip
