"""The pool: every weight once, as small as it fits, and back by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from engine.errors import BundleError
from engine.tensors import TensorSpec
from export.graphs import Feeds, Graph
from export.onnx_graph import to_onnx
from export.parity import in_onnxruntime
from export.rounding import round_to_half, round_to_int8
from export.weights import INT8, Pool, named_weights, note_names, unread_weights


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


class Looked(nn.Module):
    """An embedding, a convolution and a table, as the networks of a prompt hold them."""

    table: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.convolve = nn.Conv1d(32, 32, 3, padding=1)
        self.register_buffer("table", torch.randn(32, 32))

    def forward(self, feeds: Feeds) -> Feeds:
        x = self.embed((10 * feeds["x"][..., 0]).long())
        return {"y": self.convolve(x.transpose(1, 2)).transpose(1, 2) @ self.table}


def product(module: nn.Module) -> Graph:
    x, y = (TensorSpec(name, "float32", (1, "frames", 32)) for name in "xy")
    return Graph("product", module, (x,), (y,))


def test_pooled_models_share_their_weights_and_compute_the_same(tmp_path: Path) -> None:
    module = Product()
    round_to_half(module)
    pool = Pool(tmp_path / "weights.data")
    for name in ("one", "two"):
        model = to_onnx(product(module), scan=True)
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


def written(module: nn.Module, folder: Path) -> Path:
    """The file of its graph, the weights in a pool beside it, and named."""
    model, pool = to_onnx(product(module), scan=True), Pool(folder / "weights.data")
    note_names(model, module)
    pool.take(model)
    ir.save(model, folder / "small.onnx")
    pool.write()
    return folder / "small.onnx"


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Those that the graph reads."""
    return {name: x.numpy() for name, x in module.state_dict().items() if name != "idle"}


def test_weights_keep_their_names_where_transposed_and_stored_once(tmp_path: Path) -> None:
    module = Twins()
    round_to_half(module)
    stored = ir.load(written(module, tmp_path))
    found, wanted = named_weights(stored), weights_of(module)
    assert found.keys() == wanted.keys()
    assert unread_weights(stored) == {"idle"}
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_a_graph_without_names_is_refused() -> None:
    with pytest.raises(BundleError, match="does not say where its weights lie"):
        named_weights(to_onnx(product(Product()), scan=True))


@pytest.mark.parametrize("kind", [Product, Twins, Looked])
def test_int8_weights_compute_the_same_and_come_back(kind: type[nn.Module], tmp_path: Path) -> None:
    module = kind()
    round_to_int8(module)
    file = written(module, tmp_path)
    stored = ir.load(file)
    assert any(name.endswith(INT8) for name in stored.graph.initializers)
    found, wanted = named_weights(stored), weights_of(module)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    x = 5 * torch.rand(1, 4, 32)
    with torch.no_grad():
        said = module({"x": x})["y"].numpy()
    heard = in_onnxruntime(file)({"x": x.numpy()})["y"]
    assert np.allclose(heard, said, atol=1e-5)


def test_int8_is_gone_when_the_runtime_has_loaded_the_graph(tmp_path: Path) -> None:
    module = Product()
    round_to_int8(module)
    file = written(module, tmp_path)
    assert (tmp_path / "weights.data").stat().st_size == 32 * 32 + 32 * 4
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in ir.load(tmp_path / "loaded.onnx").graph}
    assert not kinds & {"Cast", "Mul"}
