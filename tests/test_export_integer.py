"""int8 products: what they say against float32, and a bundle that plays them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from tiny_export import networks, packed

from engine.backends import open_backend
from engine.bundle import Bundle
from engine.errors import UsageError
from engine.golden import allowed, golden_error, golden_latents
from engine.session import Backend, Floats
from engine.spec import GoldenSpec
from export import integer, rounding
from export.integer import in_int8
from export.pack import Label, pack, play_golden
from export.rounding import LARGEST_FACTOR, nearest_int8
from export.weights import INT8, SCALE, Pool

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((200, 180)).astype(np.float32)
SQUARE = RNG.standard_normal((200, 200)).astype(np.float32)
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


def scanned() -> ir.Model:
    """ys[i] = xs[i]·SQUARE·LARGE: the first product outside of a Scan, the second in its body."""
    kind = ir.TensorType(ir.DataType.FLOAT)
    xs, x = (ir.Value(name=name, shape=ir.Shape(shape), type=kind)
             for name, shape in (("xs", ["n", 7, 200]), ("x", [7, 200])))  # fmt: skip
    square, large = (
        ir.Value(name=name, shape=ir.Shape(array.shape), type=kind,
                 const_value=ir.tensor(array, name=name))
        for name, array in (("square", SQUARE), ("large", LARGE))
    )  # fmt: skip
    outer, inner = ir.node("MatMul", [xs, square]), ir.node("MatMul", [x, large])
    body = ir.Graph([x], inner.outputs, nodes=[inner], opset_imports={"": 20}, name="body")
    scan = ir.node("Scan", outer.outputs, {"body": body, "num_scan_inputs": 1}, name="scan")
    for node, name in ((outer, "between"), (inner, "y"), (scan, "ys")):
        node.outputs[0].name, node.outputs[0].type = name, kind
    graph = ir.Graph([xs], scan.outputs, nodes=[outer, scan], initializers=[square, large],
                     opset_imports={"": 20}, name="steps")  # fmt: skip
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
    whole, scale = nearest_int8(LARGE, -1, LARGEST_FACTOR)
    exact = x @ (whole * scale)  # only what enters is rounded beyond the weights
    assert np.abs(z - exact).max() < np.abs(z - x @ LARGE).max()


def test_products_in_the_body_of_a_scan(tmp_path: Path) -> None:
    made = scanned()
    assert in_int8(made) == 2
    kinds = [node.op_type for node in made.graph.all_nodes()]
    assert kinds.count("MatMulInteger") == 2 and "MatMul" not in kinds
    assert [node.op_type for node in made.graph].count("MatMulInteger") == 1
    ir.save(made, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    xs = RNG.standard_normal((3, 7, 200)).astype(np.float32)
    (ys,) = session.run(None, {"xs": xs})
    wanted = xs @ SQUARE @ LARGE
    assert np.abs(ys - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("turned", [0, 1])
def test_a_product_of_rows_with_its_sum(turned: int, tmp_path: Path) -> None:
    kind, bias = ir.TensorType(ir.DataType.FLOAT), RNG.standard_normal(200).astype(np.float32)
    x = ir.Value(name="x", shape=ir.Shape(["n", 200]), type=kind)
    stored = [
        ir.Value(name=name, shape=ir.Shape(array.shape), type=kind,
                 const_value=ir.tensor(array, name=name))
        for name, array in (("square", SQUARE), ("bias", bias))
    ]  # fmt: skip
    product = ir.node("Gemm", [x, *stored], {"transB": turned, "alpha": 1.0})
    product.outputs[0].name, product.outputs[0].type = "y", kind
    graph = ir.Graph([x], product.outputs, nodes=[product], initializers=stored,
                     opset_imports={"": 20}, name="rows")  # fmt: skip
    made = ir.Model(graph, ir_version=10)
    assert in_int8(made) == 1 - turned, "only a matrix that is read as it lies"
    ir.save(made, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    rows = RNG.standard_normal((3, 200)).astype(np.float32)
    (y,) = session.run(["y"], {"x": rows})
    wanted = rows @ (SQUARE.T if turned else SQUARE) + bias
    assert np.abs(y - wanted).max() < 0.03 * np.abs(wanted).max()


@cache
def coarse() -> Bundle:
    """A tiny bundle with int8 forms."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "SMALLEST_FACTORS", 512)
        return pack(networks(merged=(1,)), folder / "b", Label(name="coarse"), accelerator=False,
                    int8=True, say=lambda line: None)  # fmt: skip


def test_a_bundle_with_int8_forms_of_the_velocity_network() -> None:
    bundle = coarse()
    measured = bundle.manifest.measured
    for name in ("velocity", "descend"):
        graph = bundle.manifest.graphs[name]
        assert (graph.file, graph.variants) == (f"{name}.onnx", {"int8": f"{name}.int8.onnx"})
        exact = float(measured[f"parity.{name}.ort_torch"])
        rounded = float(measured[f"parity.{name}.int8.ort_torch"])
        assert exact < 1e-4 < rounded < integer.LIMIT
        weights = ir.load(bundle.file(f"{name}.int8.onnx")).graph.initializers
        stored = [value.const_value for key, value in weights.items() if key.endswith(INT8)]
        assert stored and all(np.abs(one.numpy()).max() <= 63 for one in stored if one is not None)
    assert {"half.decoder", "half.velocity", "half.descend"} <= set(measured)


def test_the_forms_share_their_weights() -> None:
    places: list[set[tuple[int, int]]] = []
    for file in ("velocity.onnx", "velocity.int8.onnx", "descend.int8.onnx"):
        weights = ir.load(coarse().file(file)).graph.initializers
        stored = [one.const_value for key, one in weights.items() if key.endswith(INT8)]
        places.append({(one.offset, one.length) for one in stored
                       if isinstance(one, ir.ExternalTensor)})  # fmt: skip
    exact, alone, row = places
    assert alone and alone == row and alone <= exact


def test_golden_latents_are_those_of_the_exact_form() -> None:
    bundle = coarse()
    exact, rounded = (open_backend(name, bundle) for name in ("ort", "ort-int8"))
    assert golden_error(bundle, exact) == 0.0
    error, golden = golden_error(bundle, rounded), bundle.manifest.golden
    assert error is not None and golden is not None
    assert golden.tolerance < error <= allowed(golden, rounded) / 2


@pytest.mark.parametrize(("tipped", "seed"), [({7, 8}, 9), (set(range(100)), None)])
def test_a_seed_at_which_int8_plays_other_music_is_passed_over(
    tipped: set[int], seed: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "b"
    shutil.copytree(str(coarse().path), folder)
    bare = replace(coarse().manifest, golden=None, files={})

    def played(bundle: Bundle, backend: Backend, golden: GoldenSpec) -> Floats:
        found = golden_latents(bundle, backend, golden)
        return found + (backend.name == "ort-int8" and golden.seed in tipped)

    monkeypatch.setattr("export.pack.golden_latents", played)
    if seed is None:
        with pytest.raises(UsageError, match="with each of 20 seeds"):
            play_golden(folder, bare)
    else:
        golden = play_golden(folder, bare).manifest.golden
        assert golden is not None and golden.seed == seed


def test_a_processor_plays_the_int8_form() -> None:
    assert open_backend("auto", coarse()).name == "ort-int8"
    with pytest.raises(UsageError, match="bundle tiny has no int8 form: use --backend ort"):
        open_backend("ort-int8", packed()[1])
