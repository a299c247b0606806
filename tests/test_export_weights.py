"""Half precision, the pool, and the refusal of weights that are not fit to ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from engine.errors import BundleError
from engine.spec import TensorSpec
from export.graphs import Feeds, Graph
from export.onnx_graph import to_onnx
from export.parity import in_onnxruntime
from export.weights import (
    Pool,
    as_half,
    named_weights,
    note_names,
    refuse_unusable,
    round_to_half,
)


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 32)

    def forward(self, feeds: Feeds) -> Feeds:
        return {"y": self.linear(feeds["x"])}


class Twins(nn.Module):
    """Two equal layers, and a weight that the output does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(32, 32), nn.Linear(32, 32)
        self.second.load_state_dict(self.first.state_dict())
        self.idle = nn.Parameter(torch.randn(7))

    def forward(self, feeds: Feeds) -> Feeds:
        return {"y": self.second(self.first(feeds["x"]))}


def product(module: nn.Module) -> Graph:
    x, y = (TensorSpec(name, "float32", (1, "frames", 32)) for name in "xy")
    return Graph("product", module, (x,), (y,))


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


def test_pooled_models_share_their_weights_and_compute_the_same(tmp_path: Path) -> None:
    module = Product()
    round_to_half(module)
    pool = Pool(tmp_path / "weights.data")
    for name in ("one", "two"):
        model = to_onnx(product(module), 1, scan=True)
        pool.take(model)
        ir.save(model, tmp_path / f"{name}.onnx")
    pool.write()
    assert (tmp_path / "weights.data").stat().st_size == 32 * 32 * 2
    x = torch.randn(1, 4, 32)
    with torch.no_grad():
        wanted = module({"x": x})["y"].numpy()
    for name in ("one", "two"):
        found = in_onnxruntime(tmp_path / f"{name}.onnx")({"x": x.numpy()})["y"]
        assert np.allclose(found, wanted, atol=1e-6)


def test_weights_keep_their_names_where_transposed_and_stored_once(tmp_path: Path) -> None:
    module = Twins()
    round_to_half(module)
    model = to_onnx(product(module), 1, scan=True)
    note_names(model, module)
    pool = Pool(tmp_path / "weights.data")
    pool.take(model)
    ir.save(model, tmp_path / "twins.onnx")
    pool.write()
    found = named_weights(ir.load(tmp_path / "twins.onnx"))
    wanted = {name: x.numpy() for name, x in module.state_dict().items() if name != "idle"}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_a_graph_without_names_is_refused() -> None:
    with pytest.raises(BundleError, match="does not say where its weights lie"):
        named_weights(to_onnx(product(Product()), 1, scan=True))
