"""Rounding: exact products, idempotent, and the refusal of weights that are not fit to ship."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from engine.errors import BundleError
from export.rounding import (
    as_half,
    as_int8,
    refuse_unusable,
    round_to_factors,
    round_to_half,
    round_to_int8,
)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e5])
def test_unfit_weights_are_refused_by_name(bad: float) -> None:
    network = nn.Linear(3, 3)
    refuse_unusable(network, "decoder")
    with torch.no_grad():
        network.weight[1, 1] = bad
    with pytest.raises(BundleError, match="decoder: weight"):
        refuse_unusable(network, "decoder")


def test_matrices_are_rounded_and_vectors_are_not() -> None:
    network = nn.Linear(40, 40)
    bias = network.bias.clone()
    round_to_half(network)
    assert torch.equal(network.weight, network.weight.half().float())
    assert torch.equal(network.bias, bias)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_half_is_exact_or_not_taken(seed: int) -> None:
    rng = np.random.default_rng(seed)
    exact = rng.standard_normal((32, 32)).astype(np.float16).astype(np.float32)
    half = as_half(exact)
    assert half is not None
    assert np.array_equal(half.astype(np.float32), exact)
    assert as_half(exact + np.float32(1e-6)) is None


def test_what_half_cannot_hold_stays_as_it_is() -> None:
    assert as_half(np.full((32, 32), 1e6, np.float32)) is None
    assert as_half(np.full((2, 2), 1.0, np.float32)) is None
    assert as_half(np.ones((32, 32), np.int64)) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-20, 15), st.booleans())
def test_int8_rows_are_read_back_bit_for_bit(seed: int, exponent: int, transposed: bool) -> None:
    network = nn.Linear(40, 24)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.weight.copy_(torch.randn(24, 40, generator=generator) * 2.0**exponent)
        network.weight[3] = 0.0
    exact = network.weight.detach().numpy().copy()
    round_to_int8(network)
    rounded = network.weight.detach().numpy()
    steps = np.abs(exact).max(1, keepdims=True) / 127
    assert (np.abs(rounded - exact) <= 0.51 * steps).all()
    small = as_int8(rounded.T if transposed else rounded)
    assert small is not None
    whole, scale = small
    assert (whole.dtype, scale.dtype) == (np.int8, np.float32)
    wide = whole.astype(np.float32) * scale
    assert np.array_equal(wide.T if transposed else wide, rounded)


def test_rounding_to_int8_again_changes_nothing() -> None:
    network = nn.Conv1d(8, 24, 5)
    round_to_int8(network)
    once = network.weight.detach().clone()
    round_to_int8(network)
    assert torch.equal(network.weight, once)


def test_tables_keep_half_precision_where_weights_become_int8() -> None:
    network = nn.Linear(40, 40)
    table = torch.randn(40, 40)
    network.register_buffer("table", table.clone())
    round_to_int8(network)
    assert torch.equal(network.table, table.half().float())
    assert as_int8(network.table.numpy()) is None


def test_what_int8_cannot_hold_is_told() -> None:
    rng = np.random.default_rng(0)
    assert as_int8(rng.standard_normal((40, 40)).astype(np.float32)) is None
    assert as_int8(np.ones((2, 2), np.float32)) is None
    assert as_int8(np.ones((40, 40), np.int64)) is None


def test_large_products_are_rounded_to_factors_that_no_sum_overflows_with() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 20), nn.Embedding(300, 200))
    exact = [part.weight.detach().clone() for part in network]
    factors = round_to_factors(network)
    assert factors == {network[0].weight.data_ptr()}
    assert all(torch.equal(network[i].weight, exact[i]) for i in (1, 2))
    large = network[0].weight.detach().clone()
    round_to_half(network, factors)
    assert torch.equal(network[0].weight, large), "rounded twice"
    assert torch.equal(network[1].weight, exact[1].half().float())
    small = as_int8(large.numpy())
    assert small is not None
    whole, scale = small
    assert np.abs(whole).max() == 63 and 2 * 255 * 63 < 2**15
    assert np.array_equal(whole * scale, large.numpy())
