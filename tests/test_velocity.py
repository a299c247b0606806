"""The velocity network: sizes, cached equals whole, causality, conditions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sharing import unshared

from model.patterns import cached_pattern
from model.presets import PAPER, TINY
from model.velocity import VelocityNetwork, joined, overlap_add, ring_axis, segment

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


class Cache:
    """What finished chunks left, of one row; passes look back on it."""

    def __init__(self, net: VelocityNetwork) -> None:
        self.net, self.count = net, 0
        self.states = {k: v.double() for k, v in net.initial_states().items()}
        self.filled = torch.zeros(1, P.context_chunks, dtype=torch.float64)

    def run(
        self, latents: torch.Tensor, angle: torch.Tensor, first: int | None = None,
        **conditions: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:  # fmt: skip
        """Chunks [1, n, C, dim] in a row, each behind the one before it."""
        n, ring = latents.shape[1], P.context_chunks
        place = torch.arange(n) + (self.count if first is None else first)
        before = torch.where(torch.arange(n) > 0, ring + torch.arange(n) - 1, (place - 1) % ring)
        return self.net.cached_pass(
            latents, angle, place[None], self.filled[:, None].expand(-1, n, -1),
            torch.ones(n, n, dtype=torch.float64).tril()[None], before[None], self.states,
            **conditions,
        )  # fmt: skip

    def commit(self, chunk: torch.Tensor) -> torch.Tensor:
        """A finished chunk [1, 1, C, dim] enters; the velocity seen on the way."""
        angle = torch.full((1, 1), self.net.context_angle, dtype=torch.float64)
        v, after = self.run(chunk, angle)
        self.keep(after)
        return v

    def keep(self, after: dict[str, torch.Tensor]) -> None:
        """What the first chunk of a pass left."""
        slot = self.count % P.context_chunks
        for name, value in after.items():
            axis = ring_axis(name)
            self.states[name].select(axis, slot)[...] = value.select(axis, 0)
        self.filled[:, slot], self.count = 1.0, self.count + 1


def streamed(net: VelocityNetwork, latents: torch.Tensor) -> torch.Tensor:
    """Commit one chunk after the other; the velocities seen on the way."""
    cache = Cache(net)
    return torch.cat([cache.commit(chunk) for chunk in latents.split(1, dim=1)], 1)


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
    cache = Cache(net)
    for m in range(2):
        cache.commit(latents[:, m : m + 1])
    flight, _ = cache.run(noisy[:, 2:], angle[:, 2:])
    assert torch.allclose(flight, whole, rtol=1e-9, atol=1e-11)


@torch.no_grad()
@pytest.mark.parametrize("known", [2, P.context_chunks, P.context_chunks + 3])
def test_a_commit_and_a_pass_at_once_equal_one_after_the_other(known: int) -> None:
    """The chunk that is finished goes in front, and hides the slot that it will take."""
    net, latents = network(), chunks(known + 2)
    cache, ring = Cache(net), P.context_chunks
    for m in range(known):
        cache.commit(latents[:, m : m + 1])
    both, angle = latents[:, known:], torch.tensor([[net.context_angle, 1.1]], dtype=torch.float64)
    filled = cache.filled[:, None].repeat(1, 2, 1)
    filled[:, 1, known % ring] = 0.0
    at_once, after = net.cached_pass(
        both, angle, torch.tensor([[known, known + 1]]), filled,
        torch.ones(1, 2, 2).double().tril(), torch.tensor([[(known - 1) % ring, ring]]),
        cache.states,
    )  # fmt: skip
    cache.commit(both[:, :1])
    alone, _ = cache.run(both[:, 1:], angle[:, 1:])
    assert torch.allclose(at_once[:, 1:], alone, rtol=1e-9, atol=1e-11)
    for name, value in after.items():
        kept = cache.states[name].select(ring_axis(name), known % ring)
        assert torch.allclose(value.select(ring_axis(name), 0), kept, rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_rows_know_nothing_of_each_other() -> None:
    """Two streams at different places of different lives, in one pass and each alone."""
    net = network()
    caches = [Cache(net), Cache(net)]
    for m, chunk in enumerate(chunks(9, seed=3).split(1, dim=1)):
        caches[m % 3 == 0].commit(chunk)
    latents, angle = chunks(2, seed=4).transpose(0, 1), torch.tensor([[0.3], [1.2]]).double()
    alone = [cache.run(latents[i : i + 1], angle[i : i + 1])[0] for i, cache in enumerate(caches)]
    together, _ = net.cached_pass(
        latents, angle, torch.tensor([[cache.count] for cache in caches]),
        torch.stack([cache.filled for cache in caches]), torch.ones(2, 1, 1).double(),
        torch.tensor([[(cache.count - 1) % P.context_chunks] for cache in caches]),
        {name: torch.cat([cache.states[name] for cache in caches]) for name in caches[0].states},
    )  # fmt: skip
    assert torch.allclose(together, torch.cat(alone), rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_positions_may_wrap() -> None:
    """The same chunks a whole period later give the same velocities."""
    net, latents = network(), chunks(2)
    angle = torch.full((1, 2), 0.7, dtype=torch.float64)
    period = 4096 // (P.chunk_frames // net.half_frames)
    first, _ = Cache(net).run(latents, angle, 3)
    later, _ = Cache(net).run(latents, angle, 3 + period)
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

    def velocity(**conditions: torch.Tensor) -> torch.Tensor:
        return Cache(net).run(latents, angle, 0, **conditions)[0]

    absent = velocity()
    tokens = velocity(tokens=torch.tensor([[[1, 2, 3]]]))
    guide = velocity(guide=chunks(1, seed=9))
    assert not torch.allclose(absent, tokens)
    assert not torch.allclose(absent, guide)


def test_segments_overlap_by_half_and_add_back() -> None:
    frames = torch.randn(1, 2, 8, 3)
    halves = torch.cat([torch.zeros(1, 2, 2, 3), frames, torch.zeros(1, 2, 2, 3)], 2)
    segments = segment(halves.reshape(1, 2, 6, 2, 3))
    assert segments.shape == (1, 4, 2, 5, 3)
    assert torch.equal(joined(overlap_add(segments)), frames)


def unpooled(net: VelocityNetwork) -> VelocityNetwork:
    """The same network, each head of keys and values as often as there are queries for it."""
    p = net.preset
    other = VelocityNetwork(replace(p, kv_heads=p.heads)).double().eval()
    unshared(net, other, p.width, p.kv_heads, p.heads)
    return other


@pytest.mark.parametrize("sizes", [{"heads": 4, "kv_heads": 2}, {"heads": 4, "kv_heads": 1}])
def test_queries_that_share_keys_meet_what_they_would_meet_with_keys_of_their_own(
    sizes: dict[str, int],
) -> None:
    net = network(**sizes)
    own, latents = unpooled(net), chunks(3)
    assert torch.allclose(streamed(net, latents), streamed(own, latents))
    frames, angle = latents.flatten(1, 2), torch.full((1, latents[0, :, :, 0].numel()), 0.7)
    assert torch.allclose(net.window_pass(frames, angle.double()),
                          own.window_pass(frames, angle.double()))  # fmt: skip


def test_pooled_keys_are_the_mean_of_those_they_stand_for() -> None:
    net = network(heads=4, kv_heads=2)
    assert net.pooled(2) is net
    again, latents = unpooled(net).pooled(2).double(), chunks(3)
    assert torch.allclose(streamed(again, latents), streamed(net, latents))
    with pytest.raises(ValueError, match="2 heads of keys make no 4"):
        net.pooled(4)


def test_heads_of_keys_divide_those_of_queries() -> None:
    with pytest.raises(ValueError, match="2 heads of keys must divide 3"):
        replace(P, heads=3, kv_heads=2)
