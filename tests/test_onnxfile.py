from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BundleError
from engine.onnxfile import external_files

onnx = pytest.importorskip("onnx")


def outside(name: str, location: str) -> "onnx.TensorProto":
    tensor = onnx.TensorProto(
        name=name, data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("length", "8")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model() -> "onnx.ModelProto":
    """Data outside the file in an initializer, in a constant, and inside a branch."""
    branch = onnx.helper.make_graph([], "inner", [], [], [outside("c", "../../etc/passwd")])
    nodes = [
        onnx.helper.make_node("Constant", [], ["b"], value=outside("b", "second.data")),
        onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch),
        onnx.helper.make_node("Identity", ["x"], ["z"]),
    ]
    inside = onnx.helper.make_tensor("d", 1, [2], [1.0, 2.0])
    graph = onnx.helper.make_graph(nodes, "g", [], [], [outside("a", "first.data"), inside])
    return onnx.helper.make_model(graph)


def test_every_outside_file_is_found_wherever_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    path.write_bytes(model().SerializeToString())
    assert external_files(path) == {"first.data", "second.data", "../../etc/passwd"}


def test_a_file_by_itself_wants_no_other(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    inside = onnx.helper.make_tensor("d", 1, [2], [1.0, 2.0])
    graph = onnx.helper.make_graph([], "g", [], [], [inside])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert external_files(path) == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=200) | st.integers(0, 400).map(lambda n: model().SerializeToString()[:n]))
def test_any_bytes_are_walked_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "g.onnx"
    path.write_bytes(content)
    try:
        external_files(path)
    except BundleError as error:
        assert "g.onnx is not an ONNX file" in str(error)
