from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.backends.onnx_model import Graph, read_model
from engine.bundle import Bundle, default_bundle_path
from engine.errors import BundleError

onnx = pytest.importorskip("onnx")


def model() -> "onnx.ModelProto":
    """A weight of every kind, an attribute of every kind, and a graph inside a node."""
    make, numpy_helper = onnx.helper, onnx.numpy_helper
    inner = make.make_graph([make.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    attributes = {
        "whole": -3, "number": 0.5, "text": "reflect", "wholes": [1, -2, 3], "numbers": [0.5, 2.0],
        "tensor": numpy_helper.from_array(np.array([1, 2], np.int64), "t"), "body": inner,
    }  # fmt: skip
    weights = [
        numpy_helper.from_array(np.arange(6).reshape(2, 3).astype(kind), str(kind))
        for kind in ("float32", "float16", "int8", "int64", "int32", "bool", "float64", "uint8")
    ]
    weights.append(make.make_tensor("loose", 1, [2], [1.5, -2.5]))
    weights.append(make.make_tensor("loose16", 10, [2], [1.5, -2.5]))
    weights.append(make.make_tensor("scalar", 7, [], [-7]))
    info = make.make_tensor_value_info
    graph = make.make_graph(
        [make.make_node("Thing", ["x", "", "loose"], ["y"], domain="own", **attributes)], "main",
        [info("x", 1, ["n", 2])], [info("y", 1, ["n", 2])], weights,
    )  # fmt: skip
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 20)], ir_version=10)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return path


def test_every_kind_of_weight_and_attribute_is_read(tmp_path: Path) -> None:
    found = read_model(written(tmp_path, model().SerializeToString()))
    graph = found.graph
    assert (found.opset, found.ir_version, graph.name) == (20, 10, "main")
    assert (graph.inputs, graph.outputs) == (["x"], ["y"])
    for tensor in model().graph.initializer:
        wanted = onnx.numpy_helper.to_array(tensor)
        np.testing.assert_array_equal(graph.weights[tensor.name], wanted)
        assert graph.weights[tensor.name].dtype == wanted.dtype
    (node,) = graph.nodes
    assert (node.op, node.domain, node.inputs) == ("Thing", "own", ["x", "", "loose"])
    attributes = dict(node.attributes)
    body, tensor = attributes.pop("body"), attributes.pop("tensor")
    assert isinstance(body, Graph) and body.nodes[0].op == "Identity"
    np.testing.assert_array_equal(tensor, [1, 2])
    assert attributes == {
        "whole": -3, "number": 0.5, "text": b"reflect", "wholes": [1, -2, 3], "numbers": [0.5, 2.0]
    }  # fmt: skip


def test_the_shipped_graphs_are_read_as_onnx_reads_them() -> None:
    bundle = Bundle.open(default_bundle_path())
    for spec in bundle.manifest.graphs.values():
        path = bundle.file(spec.file)
        theirs, ours = onnx.load(path), read_model(path).graph
        assert [node.op_type for node in theirs.graph.node] == [node.op for node in ours.nodes]
        for tensor in theirs.graph.initializer:
            np.testing.assert_array_equal(
                ours.weights[tensor.name], onnx.numpy_helper.to_array(tensor)
            )


@pytest.mark.parametrize("location", ["../outside", "/etc/passwd", "..", ""])
def test_weights_lie_in_plain_files_beside_the_graph(tmp_path: Path, location: str) -> None:
    proto = model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="0")
    with pytest.raises(BundleError, match="which is no plain file name"):
        read_model(written(tmp_path, proto.SerializeToString()))


def test_a_short_file_beside_the_graph_is_named(tmp_path: Path) -> None:
    proto = model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.data")
    (tmp_path / "weights.data").write_bytes(bytes(8))
    with pytest.raises(BundleError, match=r"weights.data has 8 of 24 bytes"):
        read_model(written(tmp_path, proto.SerializeToString()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_a_bundle_error_or_another_graph(tmp_path: Path, data) -> None:
    content = bytearray(model().SerializeToString())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        read_model(written(tmp_path, bytes(content[: data.draw(st.integers(0, len(content)))])))
    except BundleError as error:
        assert "model.onnx is not an ONNX file" in str(error)
