from pathlib import Path

import numpy as np
import pytest

from engine.backends.onnx_model import Graph, Model, Node, read_model
from engine.backends.onnx_write import door, write_model
from engine.bundle import Bundle, default_bundle_path
from tests.test_onnx_model import model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    first = read_model(path)
    path.write_bytes(write_model(first))
    second = read_model(path)
    assert second.opset == first.opset
    assert repr(second.graph) == repr(first.graph)


@pytest.mark.parametrize("name", ["decoder", "velocity"])
def test_a_shipped_graph_written_with_its_weights_runs_alone(name: str) -> None:
    bundle = Bundle.open(default_bundle_path())
    content = write_model(read_model(bundle.file(bundle.manifest.graphs[name].file)))
    onnx.checker.check_model(onnx.load_from_string(content))


def test_a_graph_made_here_runs() -> None:
    ends = {"x": door("x", "float32", ["n", 2]), "y": door("y", "float32", ["n", 2])}
    graph = Graph(
        "made", [Node("Mul", ["x", "w"], ["y"])], {"w": np.float32([2, 3])}, ["x"], ["y"], ends
    )
    session = onnxruntime.InferenceSession(
        write_model(Model(graph, 17, 8)), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": np.ones((3, 2), np.float32)})
    np.testing.assert_array_equal(found, np.tile(np.float32([2, 3]), (3, 1)))
