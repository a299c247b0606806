"""int8 products: what they say against float32, and a bundle that plays them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from tiny_export import networks

from engine.backends import open_backend
from engine.bundle import Bundle
from engine.generator import golden_error
from export import integer
from export.integer import in_int8
from export.pack import Label, pack
from export.rounding import nearest_int8
from export.weights import INT8, SCALE, Pool

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((200, 180)).astype(np.float32)
SMALL = RNG.standard_normal((180, 3)).astype(np.float32)


def model() -> ir.Model:
    """y = (x·LARGE)·SMALL and z = x·LARGE."""
    x = ir.Value(name="x", shape=ir.Shape(["n", 200]), type=ir.TensorType(ir.DataType.FLOAT))
    stored = [
        ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.FLOAT),
                 const_value=ir.tensor(array, name=name))
        for name, array in (("large", LARGE), ("small", SMALL))
    ]  # fmt: skip
    first, again = (ir.node("MatMul", [x, stored[0]], name=name) for name in ("first", "again"))
    last = ir.node("MatMul", [first.outputs[0], stored[1]], name="last")
    for node, name in ((first, "hidden"), (again, "z"), (last, "y")):
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph([x], [last.outputs[0], again.outputs[0]], nodes=[first, again, last],
                     initializers=stored, opset_imports={"": 20}, name="products")  # fmt: skip
    return ir.Model(graph, ir_version=10)


def run(folder: Path, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(folder / "m.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["y", "z"]
    return session.run(None, {"x": x})


def test_large_products_only_and_what_enters_is_rounded_once(tmp_path: Path) -> None:
    made = model()
    assert in_int8(made) == 2
    kinds = [node.op_type for node in made.graph]
    assert kinds.count("MatMulInteger") == 2 and kinds.count("MatMul") == 1
    assert kinds.count("DynamicQuantizeLinear") == 1
    assert set(made.graph.initializers) == {"small", "large" + INT8, "large" + SCALE}
    pool = Pool(tmp_path / "weights.data")
    pool.take(made)
    pool.write()
    ir.save(made, tmp_path / "m.onnx")
    x = RNG.standard_normal((7, 200)).astype(np.float32)
    y, z = run(tmp_path, x)
    assert np.abs(z - x @ LARGE).max() < 0.02 * np.abs(x @ LARGE).max()
    assert np.abs(y - z @ SMALL).max() < 1e-4 * np.abs(y).max()
    whole, scale = nearest_int8(LARGE, -1)
    exact = x @ (whole * scale)  # only what enters is rounded beyond the weights
    assert np.abs(z - exact).max() < np.abs(z - x @ LARGE).max()


def test_a_bundle_whose_velocity_a_cpu_plays_in_int8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer, "SMALLEST_VALUES", 512)
    pack(networks(merged=(1,)), tmp_path / "b", Label(name="coarse"), accelerator=False, int8=True,
         say=lambda line: None)  # fmt: skip
    bundle = Bundle.open(tmp_path / "b")
    graph, measured = bundle.manifest.graphs["velocity"], bundle.manifest.measured
    assert (graph.file, graph.variants) == ("velocity.onnx", {"cpu": "velocity.int8.onnx"})
    exact = float(measured["parity.velocity.ort_torch"])
    coarse = float(measured["parity.velocity.int8.ort_torch"])
    assert exact < 1e-4 < coarse < integer.LIMIT
    assert bundle.manifest.golden is not None
    assert bundle.manifest.golden.tolerance == integer.GOLDEN_TOLERANCE
    assert golden_error(bundle, open_backend("ort", bundle)) == 0.0
