"""Rotary attention and the recurrence against plain truths."""

from __future__ import annotations

import pytest
import torch

from model.layers import (
    POSITION_PERIOD,
    Past,
    SRULayer,
    look_back,
    marked,
    recurrence,
    recurrence_scan,
    rotary,
    rotary_turns,
    rotate,
)


@pytest.mark.parametrize("aloud", [1.0, 15.0])
def test_a_marked_past_is_heard_like_any(aloud: float) -> None:
    """Two groups of three queries; in the first row the second group may not see some of the past,
    in the other row the first one not all of the present. Loud scores are far apart.
    """
    torch.manual_seed(0)
    rows, heads, known, width = 2, 2, 40, 8
    past, present = (
        Past(aloud * torch.randn(rows, 3, heads, n, width), torch.randn(rows, 3, heads, n, width))
        for n in (known, 6)
    )
    queries = torch.randn(rows, 3, heads, 6, width)
    mask = torch.zeros(rows, 1, 1, 6, known + 6)
    mask[0, ..., 3:, 5:9] = -1e9
    mask[1, ..., :3, known + 3 :] = -1e9
    truth = look_back(
        queries.double(), *(Past(p.keys.double(), p.values.double()) for p in (present, past)),
        mask.double(),
    )  # fmt: skip
    found = look_back(queries, present, marked(past, mask, 3), mask)
    assert (found - truth).abs().max() < (1e-5 if aloud == 1.0 else 1e-3)


def test_rotary_products_depend_on_the_distance_alone() -> None:
    turns = rotary_turns(16)
    q, k = torch.randn(1, 1, 16).double(), torch.randn(1, 1, 16).double()

    def product(at: int, other: int) -> torch.Tensor:
        one = rotate(q, *rotary(torch.tensor([at]), turns, torch.float64))
        two = rotate(k, *rotary(torch.tensor([other]), turns, torch.float64))
        return (one * two).sum()

    assert torch.isclose(product(7, 3), product(107, 103))
    assert torch.isclose(product(7, 3), product(7 + POSITION_PERIOD, 3))
    assert not torch.isclose(product(7, 3), product(8, 3))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_recurrence_is_the_formula(length: int) -> None:
    forget, entering = torch.rand(length, 3, 4), torch.randn(length, 3, 4)
    c = torch.zeros(3, 4)
    for k, got in enumerate(recurrence(forget, entering)):
        c = forget[k] * c + entering[k]
        assert torch.allclose(got, c)


def test_scan_equals_loop() -> None:
    forget, entering = torch.rand(6, 3, 4), torch.randn(6, 3, 4)
    assert torch.equal(recurrence(forget, entering), recurrence_scan(forget, entering))


def test_the_backward_half_is_the_forward_half_of_reversed_time() -> None:
    torch.manual_seed(0)
    layer = SRULayer(6, 3)
    with torch.no_grad():  # both directions with the same weights
        for part in range(3):
            rows = slice(6 * part, 6 * part + 6)
            weight, bias = layer.project.weight[rows], layer.project.bias[rows]
            weight[3:], bias[3:] = weight[:3].clone(), bias[:3].clone()
    x = torch.randn(2, 5, 3).repeat(1, 1, 2)
    h, mirrored = layer(x), layer(x.flip(1))
    assert torch.allclose(h[..., 3:], mirrored.flip(1)[..., :3], atol=1e-6)
