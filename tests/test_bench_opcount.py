from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench import opcount
from engine.errors import UsageError


def node(kind: str, entering: str, leaving: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, entering.split(), leaving.split(), **attributes)


def value(name: str, *sizes: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


def graph_of(
    nodes: list[onnx.NodeProto], entering: list[onnx.ValueInfoProto], leaving: list[str],
    **weights: np.ndarray,
) -> onnx.GraphProto:  # fmt: skip
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    ends = [onnx.ValueInfoProto(name=name) for name in leaving]
    return helper.make_graph(nodes, "counted", entering, ends, held)


def counted(tmp_path: Path, graph: onnx.GraphProto, **feeds: np.ndarray) -> opcount.Count:
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "g.onnx")
    return opcount.count(tmp_path / "g.onnx", feeds)


def ones(*sizes: int) -> np.ndarray:
    return np.ones(sizes, np.float32)


def test_a_layer_at_the_shape_it_is_run_at(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "y"), node("Add", "y b", "z"), node("Softmax", "z", "p")]
    graph = graph_of(nodes, [value("x", "rows", 8)], ["p"], w=ones(8, 5), b=ones(5))
    found = counted(tmp_path, graph, x=ones(3, 8))
    assert found.operations == {"MatMul": 2 * 3 * 8 * 5, "Add": 15, "Softmax": 5 * 15}
    assert found.total == 240 + 15 + 75
    assert found.weight_bytes == 4 * (8 * 5 + 5)
    assert found.in_out_bytes == 4 * (3 * 8 + 3 * 5)
    assert found.bytes == found.weight_bytes + found.in_out_bytes
    assert found.between_bytes == 4 * (24 + 15 + 15 + 15 + 15)


def test_what_depends_on_weights_alone_is_folded_and_counts_as_it_is_used(tmp_path: Path) -> None:
    nodes = [node("Cast", "half", "wide", to=TensorProto.FLOAT), node("Neg", "wide", "w"),
             node("MatMul", "x w", "y"), node("Mul", "y w", "z")]  # fmt: skip
    graph = graph_of(nodes, [value("x", 4, 4)], ["z"], half=ones(4, 4).astype(np.float16))
    found = counted(tmp_path, graph, x=ones(4, 4))
    assert found.operations == {"MatMul": 128, "Mul": 16}
    assert found.weight_bytes == 4 * 16  # once, as float32, although used twice


def test_of_a_table_only_the_rows_looked_up_are_moved(tmp_path: Path) -> None:
    index = helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])
    graph = graph_of([node("Gather", "table i", "y")], [index], ["y"], table=ones(1000, 6))
    found = counted(tmp_path, graph, i=np.zeros(2, np.int64))
    assert found.total == 0 and found.weight_bytes == 4 * 2 * 6


def test_convolutions_of_groups_and_their_transposes(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "y", group=2, pads=[1, 1]), node("ConvTranspose", "y v", "z")]
    graph = graph_of(nodes, [value("x", 1, 4, 10)], ["z"], w=ones(6, 2, 3), v=ones(6, 5, 7))
    found = counted(tmp_path, graph, x=ones(1, 4, 10))
    assert found.operations == {"Conv": 2 * 60 * 2 * 3, "ConvTranspose": 2 * 60 * 5 * 7}


def test_a_turned_gemm(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "y", transA=1)]
    found = counted(
        tmp_path, graph_of(nodes, [value("x", 7, 2)], ["y"], w=ones(7, 3)), x=ones(7, 2)
    )
    assert found.operations == {"Gemm": 2 * 2 * 7 * 3}


def test_a_scan_counts_as_often_as_it_runs(tmp_path: Path) -> None:
    body = helper.make_graph(
        [node("Mul", "f c", "d"), node("Add", "d e", "after"), node("Identity", "after", "o")],
        "step", [value("c", 6), value("f", 6), value("e", 6)], [value("after", 6), value("o", 6)],
    )  # fmt: skip
    scan = node("Scan", "start forget entering", "last all", body=body, num_scan_inputs=2)
    rows = [value("start", 6), value("forget", "k", 6), value("entering", "k", 6)]
    graph = graph_of([scan], rows, ["last", "all"])
    found = counted(tmp_path, graph, start=ones(6), forget=ones(9, 6), entering=ones(9, 6))
    assert found.operations == {"Mul": 9 * 6, "Add": 9 * 6}
    assert found.in_out_bytes == 4 * (6 + 54 + 54 + 6 + 54)


def test_other_control_flow_is_refused(tmp_path: Path) -> None:
    branch = helper.make_graph([node("Neg", "x", "y")], "branch", [], [value("y", 2)])
    nodes = [node("If", "yes", "z", then_branch=branch, else_branch=branch)]
    yes = helper.make_tensor_value_info("yes", TensorProto.BOOL, [])
    graph = graph_of(nodes, [value("x", 2), yes], ["z"])
    with pytest.raises(UsageError, match="a graph with If is not counted"):
        counted(tmp_path, graph, x=ones(2), yes=np.array(True))


def test_without_onnx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UsageError, match=r"install perpetuo\[train\]"):
        opcount.load_onnx()
