"""The velocity network: sizes, cached equals whole, causality, conditions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.patterns import cached_pattern
from model.presets import PAPER, TINY
from model.velocity import VelocityNetwork, overlap_add, segment

P = TINY.velocity


def network(**changes: object) -> VelocityNetwork:
    """A tiny network whose every weight matters."""
    torch.manual_seed(0)
    net = VelocityNetwork(replace(P, **changes)).double().eval()  # type: ignore[arg-type]
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


def chunks(count: int, seed: int = 1) -> torch.Tensor:
    """[1, count, C, dim] of noise."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1, count, P.chunk_frames, P.dim)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def streamed(net: VelocityNetwork, latents: torch.Tensor) -> torch.Tensor:
    """Commit one chunk after the other; the velocities seen on the way."""
    states = {k: v.double() for k, v in net.initial_states().items()}
    filled = torch.zeros(1, P.context_chunks, dtype=torch.float64)
    angle = torch.full((1, 1), net.context_angle, dtype=torch.float64)
    seen = []
    for m in range(latents.shape[1]):
        v, after = net.cached_pass(latents[:, m : m + 1], angle, torch.tensor([m]), filled, states)
        seen.append(v)
        slot = m % P.context_chunks
        for name, value in after.items():
            if name == "tail":
                states[name] = value
            else:
                states[name][:, slot] = value[:, 0]
        filled[:, slot] = 1.0
    return torch.cat(seen, 1)


def test_paper_preset_counts_the_published_parameters() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in VelocityNetwork(PAPER.velocity).parameters())
    assert abs(count / 296.6e6 - 1) < 0.05


@pytest.mark.parametrize("count", [1, 3, 6])
@torch.no_grad()
def test_cached_passes_equal_the_chunk_causal_whole_pass(count: int) -> None:
    net, latents = network(), chunks(count)
    index = torch.arange(count)
    causal = index[:, None] >= index[None, :]
    angle = torch.full((1, count), net.context_angle, dtype=torch.float64)
    whole = net.sequence_pass(latents, angle, causal, index, index - 1)
    assert torch.allclose(streamed(net, latents), whole, rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_ladder_in_flight_equals_training_pattern() -> None:
    """Two finished chunks and two in flight: the cache sees what the training pattern shows."""
    net, latents = network(), chunks(4)
    noisy = torch.cat([torch.zeros_like(latents[:, :2]), chunks(2, seed=5)], 1)
    angle = torch.tensor([[0.0, 0.0, 0.4, 1.2]], dtype=torch.float64)
    clean_angle = torch.full_like(angle, net.context_angle)
    pattern = cached_pattern(4, 2, 0)
    whole = net.sequence_pass(
        torch.cat([latents, noisy], 1), torch.cat([clean_angle, angle], 1),
        pattern.sources, pattern.index, pattern.tails,
    )[:, 6:]  # fmt: skip
    states = {k: v.double() for k, v in net.initial_states().items()}
    filled = torch.zeros(1, P.context_chunks, dtype=torch.float64)
    for m in range(2):
        _, after = net.cached_pass(
            latents[:, m : m + 1], clean_angle[:, :1], torch.tensor([m]), filled, states
        )
        states["tail"] = after.pop("tail")
        for name, value in after.items():
            states[name][:, m] = value[:, 0]
        filled[:, m] = 1.0
    flight, _ = net.cached_pass(noisy[:, 2:], angle[:, 2:], torch.tensor([2]), filled, states)
    assert torch.allclose(flight, whole, rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_positions_may_wrap() -> None:
    """The same chunks a whole period later give the same velocities."""
    net, latents = network(), chunks(2)
    states = {k: v.double() for k, v in net.initial_states().items()}
    filled = torch.zeros(1, P.context_chunks, dtype=torch.float64)
    angle = torch.full((1, 2), 0.7, dtype=torch.float64)
    period = 4096 // (P.chunk_frames // net.half_frames)
    first, _ = net.cached_pass(latents, angle, torch.tensor([3]), filled, states)
    later, _ = net.cached_pass(latents, angle, torch.tensor([3 + period]), filled, states)
    assert torch.allclose(first, later, rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_later_chunks_do_not_reach_back() -> None:
    net, latents = network(), chunks(4)
    changed = latents.clone()
    changed[:, 3] += 1.0
    assert torch.equal(streamed(net, latents)[:, :3], streamed(net, changed)[:, :3])


@torch.no_grad()
def test_window_looks_both_ways_and_takes_any_length() -> None:
    net = network()
    for length in (16, 17, 30):
        latents = torch.randn(2, length, P.dim, dtype=torch.float64)
        angle = torch.full((2, length), 0.5, dtype=torch.float64)
        v = net.window_pass(latents, angle)
        changed = latents.clone()
        changed[:, -1] += 1.0
        assert v.shape == latents.shape
        assert not torch.allclose(net.window_pass(changed, angle)[:, 0], v[:, 0])


@torch.no_grad()
def test_conditions_change_the_velocity_and_may_be_absent() -> None:
    net = network(conditions=("tokens", "guide"), vocabulary=16)
    latents = chunks(1)
    angle = torch.full((1, 1), 0.5, dtype=torch.float64)
    states = {k: v.double() for k, v in net.initial_states().items()}
    filled = torch.zeros(1, P.context_chunks, dtype=torch.float64)

    def velocity(**conditions: torch.Tensor) -> torch.Tensor:
        return net.cached_pass(latents, angle, torch.tensor([0]), filled, states, **conditions)[0]

    absent = velocity()
    tokens = velocity(tokens=torch.tensor([[[1, 2, 3]]]))
    guide = velocity(guide=chunks(1, seed=9))
    assert not torch.allclose(absent, tokens)
    assert not torch.allclose(absent, guide)


def test_segments_overlap_by_half_and_add_back() -> None:
    frames = torch.randn(1, 2, 8, 3)
    halves = torch.cat([torch.zeros(1, 2, 2, 3), frames, torch.zeros(1, 2, 2, 3)], 2)
    segments = segment(halves.reshape(1, 2, 6, 2, 3))
    assert segments.shape == (1, 2, 5, 4, 3)
    assert torch.equal(overlap_add(segments), frames)
