import numpy as np
import pytest

from engine.backends.onnx_half import fold, in_half
from engine.backends.onnx_model import Graph, Model, Node, read_model
from engine.backends.onnx_write import door, write_model
from engine.bundle import Bundle, default_bundle_path
from engine.errors import BundleError

onnxruntime = pytest.importorskip("onnxruntime")


def stored(weight: float = 0.5) -> Model:
    """y = softmax(x @ w) with w stored as whole numbers and a scale."""
    nodes = [
        Node("Cast", ["w.int8"], ["whole"], {"to": 1}),
        Node("Mul", ["whole", "scale"], ["w"]),
        Node("MatMul", ["x", "w"], ["p"]),
        Node("Softmax", ["p"], ["y"], {"axis": -1}),
    ]
    weights = {"w.int8": np.eye(2, dtype=np.int8), "scale": np.float32([[weight], [weight]])}
    ends = {name: door(name, "float32", ["n", 2]) for name in "xy"}
    return Model(Graph("stored", nodes, weights, ["x"], ["y"], ends), 20, 10)


def test_what_depends_on_weights_alone_is_computed() -> None:
    graph = fold(stored()).graph
    assert [node.op for node in graph.nodes] == ["MatMul", "Softmax"]
    np.testing.assert_array_equal(graph.weights.pop("w"), 0.5 * np.eye(2))
    assert not graph.weights


def test_products_are_half_and_nothing_else() -> None:
    graph = in_half(stored()).graph
    assert [node.op for node in graph.nodes] == ["Cast", "MatMul", "Cast", "Softmax"]
    assert graph.weights["w.to_half"].dtype == np.float16
    assert graph.nodes[1].inputs == ["x.to_half", "w.to_half"]
    assert graph.nodes[2].outputs == ["p"]  # whoever reads it finds float32


def test_it_runs_and_is_near() -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    found = [
        onnxruntime.InferenceSession(
            write_model(model), options, providers=["CPUExecutionProvider"]
        ).run(None, {"x": x})[0]
        for model in (stored(), in_half(stored()))
    ]
    assert np.abs(found[0] - found[1]).max() < 1e-3


def test_a_weight_beyond_half_precision_is_named() -> None:
    with pytest.raises(BundleError, match=r"weight w reaches 1e\+05, half precision ends at 65504"):
        in_half(stored(1e5))


def test_the_shipped_velocity_keeps_norms_and_recurrences_in_float32() -> None:
    bundle = Bundle.open(default_bundle_path())
    spec = bundle.manifest.graphs["velocity"]
    plain = fold(read_model(bundle.file(spec.file))).graph
    half = in_half(read_model(bundle.file(spec.file))).graph
    products = [node for node in half.nodes if node.op in ("MatMul", "Gemm", "Conv")]
    assert products and all(node.outputs[0].endswith(".half") for node in products)
    narrow = {node.outputs[0] for node in half.nodes
              if node.op == "Cast" and node.attributes["to"] == 10}  # fmt: skip
    readers = {node.op for node in half.nodes if narrow & set(node.inputs)}
    assert readers <= {"MatMul", "Gemm", "Conv"}
    others = [node.op for node in plain.nodes if node.op not in ("MatMul", "Gemm", "Conv", "Cast")]
    assert others == [
        node.op for node in half.nodes if node.op not in ("MatMul", "Gemm", "Conv", "Cast")
    ]
