"""Attention behind rings: as many at once, one by one and the whole say the same."""

from __future__ import annotations

import pytest
import torch

from model.past_attention import Attention, Past, Seen, steps, steps_scan

WIDTH, HEADS, COUNT = 16, 2, 5
GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR).double()


def attention(kv_heads: int) -> Attention:
    torch.manual_seed(0)
    return Attention(WIDTH, HEADS, kv_heads).double()


def looking(made: Attention, slots: int, filled: int) -> Seen:
    """For a whole run behind a ring of which some slots are filled, as `forward` sees."""
    ahead, aside = made.turning(torch.arange(COUNT), torch.float64)
    own = torch.ones(COUNT, COUNT).tril()
    ring = (torch.arange(slots) < filled).expand(COUNT, -1)
    mask = torch.where(torch.cat([torch.ones(COUNT, 3), ring, own], 1) > 0.5, 0.0, -1e9).double()
    mask = torch.cat([mask] * made.group)
    return Seen(ahead.transpose(0, 1), aside.transpose(0, 1), mask[None, None])


@torch.no_grad()
@pytest.mark.parametrize("kv_heads", [HEADS, 1])
def test_behind_an_empty_ring_it_is_the_whole(kv_heads: int) -> None:
    d = WIDTH // HEADS
    made, x, codes = attention(kv_heads), drawn(2, COUNT, WIDTH), drawn(2, 3, 2 * kv_heads * d)
    mask = torch.where(torch.ones(COUNT, COUNT).tril() > 0, 0.0, -1e9)
    mask = torch.cat([torch.zeros(COUNT, 3), mask], 1).double()
    whole = made(x, torch.arange(COUNT), mask[None, None], codes)
    keys, values = codes.unflatten(2, (2, kv_heads, -1)).permute(2, 0, 3, 1, 4)
    ring = drawn(2, kv_heads, 4, d)
    seen = looking(made, 4, 0)
    past = Past(keys * made.scale, ring, torch.cat([values, ring], dim=2))
    found, _ = made.behind(x, seen, past, None)
    assert torch.allclose(found, whole, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("kv_heads", [HEADS, 1])
def test_step_by_step_it_is_the_run(kv_heads: int) -> None:
    made, x = attention(kv_heads), drawn(1, COUNT, WIDTH)
    d = WIDTH // HEADS
    past = Past(drawn(1, kv_heads, 3, d), drawn(1, kv_heads, 4, d), drawn(1, kv_heads, 7, d))
    seen = looking(made, 4, 3)
    whole, left = made.behind(x, seen, past, None)
    own = tuple(torch.zeros(1, kv_heads, COUNT, d).double() for _ in range(2))
    for k in range(COUNT):
        place = (torch.arange(COUNT) == k)[:, None]
        now = Seen(
            seen.ahead[:, k : k + 1], seen.aside[:, k : k + 1], seen.mask[:, :, k : k + 1], place
        )
        y, own = made.behind(x[:, k], now, past, (own[0], own[1]))
        assert torch.allclose(y, whole[:, k], atol=1e-12)
    for found, wanted in zip(own, left, strict=True):
        assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("run", [steps, steps_scan])
def test_steps_carry_on_and_say_a_row_each(run: object) -> None:
    def step(
        carried: list[torch.Tensor], now: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        total = carried[0] + now[0] * now[1]
        return [total], [total.clone(), 2 * now[1]]

    carried, said = run(step, [torch.zeros(2)], [torch.arange(6.0).reshape(3, 2), torch.ones(3, 1)])  # type: ignore[operator]
    assert carried[0].tolist() == [6.0, 9.0]
    assert said[0].tolist() == [[0.0, 1.0], [2.0, 4.0], [6.0, 9.0]]
    assert said[1].tolist() == [[2.0]] * 3
