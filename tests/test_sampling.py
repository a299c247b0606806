"""Continuation in plain torch, in both contexts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.presets import TINY
from model.sampling import CachedSampler, Sampler, WindowSampler, continued
from model.velocity import VelocityNetwork

P = TINY.prompted
COUNT = P.chunk_frames // P.token_frames


def network() -> VelocityNetwork:
    torch.manual_seed(0)
    net = VelocityNetwork(replace(P, context_chunks=3)).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def pieces(chunks: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents [2, frames, dim], tokens [2, n] and briefs [2, M, Bf] of two pieces."""
    torch.manual_seed(1)
    latents = torch.randn(2, chunks * P.chunk_frames, P.dim)
    tokens = torch.randint(0, P.vocabulary, (2, chunks * COUNT))
    return latents, tokens, torch.randn(2, chunks, P.brief)


@pytest.mark.parametrize("kind", ["cached", "window"])
def test_what_goes_on_hangs_on_past_tokens_and_brief(kind: str) -> None:
    net, (latents, tokens, brief) = network(), pieces(5)
    context = latents[:, : 3 * P.chunk_frames]

    def made(context: torch.Tensor, *asked: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(2)
        return continued(net, context, 2, 3, *asked, kind=kind)

    once = made(context, tokens, brief)
    assert once.shape == (2, 2 * P.chunk_frames, P.dim)
    assert torch.equal(once, made(context, tokens, brief))
    assert not torch.allclose(once, made(context + 0.5, tokens, brief))
    assert not torch.allclose(once, made(context, (tokens + 1) % P.vocabulary, brief))
    assert not torch.allclose(once, made(context, tokens, -brief))
    assert not torch.allclose(once, made(context))


def test_a_window_sampler_runs_the_window_as_the_network_does() -> None:
    net, (latents, tokens, brief) = network(), pieces(3)
    chunks, said = latents.split(P.chunk_frames, 1), tokens.split(COUNT, 1)
    sampler = WindowSampler(net)
    for chunk, one in zip(chunks[:2], said[:2], strict=True):
        sampler.commit(chunk, one)
    angle = torch.full(latents.shape[:2], net.context_angle)
    angle[:, -P.chunk_frames :] = torch.pi / 2
    with torch.no_grad():
        v = net.window_pass(latents, angle, tokens, brief[:, -1])[:, -P.chunk_frames :]
    found = sampler.next_chunk(chunks[2], 1, said[2], brief[:, -1])
    assert torch.allclose(found, -v, atol=1e-6)  # one step from pure noise to music


@pytest.mark.parametrize("kind", ["cached", "window"])
def test_more_goes_by_than_is_looked_back_on(kind: str) -> None:
    net, (latents, tokens, _) = network(), pieces(6)
    noise = torch.randn(2, P.chunk_frames, P.dim)

    def ended(first: float) -> torch.Tensor:
        sampler: Sampler = CachedSampler(net, 2) if kind == "cached" else WindowSampler(net)
        for k, chunk in enumerate(latents.split(P.chunk_frames, 1)):
            sampler.commit(chunk + first * (k == 0), tokens[:, k * COUNT : (k + 1) * COUNT])
        return sampler.next_chunk(noise, 2, tokens[:, :COUNT])

    assert ended(0.0).isfinite().all()
    if kind == "window":  # a cache's slots were made with what was older still
        assert torch.equal(ended(0.0), ended(1.0))
