"""Every operator that the torch backend knows, against ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from engine.backends.onnx_model import Graph, Model, Node, read_model  # noqa: E402
from engine.backends.torch.ops import OPS  # noqa: E402
from engine.backends.torch.program import Program, Weights, refuse_unknown  # noqa: E402
from engine.errors import BundleError  # noqa: E402
from tests.onnx_graphs import by_onnxruntime, model_of  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 5)).astype(np.float32)
Y = RNG.uniform(0.2, 2.0, (2, 3, 5)).astype(np.float32)
FLAGS = X > 0
WHOLE = RNG.integers(1, 9, (2, 3, 5))
FAR = 2**63 - 1


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


Case = tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]
"""Operator, what enters when it runs, weights, attributes; inputs are in the order of both."""


def unary(op: str, x: np.ndarray = X, **attributes: Any) -> Case:
    return op, {"x": x}, {}, attributes


def binary(op: str, x: np.ndarray = X, y: np.ndarray = Y, **attributes: Any) -> Case:
    return op, {"x": x, "y": y}, {}, attributes


def shaped(op: str, *weights: Any, x: np.ndarray = X, **attributes: Any) -> Case:
    """The other inputs are known."""
    return op, {"x": x}, {f"w{i}": w for i, w in enumerate(weights)}, attributes


W = RNG.standard_normal((4, 3, 3)).astype(np.float32)
CASES: list[Case] = [
    *(unary(op) for op in ("Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Neg",
                           "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Tanh")),
    *(unary(op, Y) for op in ("Log", "Sqrt", "Reciprocal")),
    *(binary(op) for op in ("Add", "Div", "Max", "Min", "Mul", "Sub")),
    *(binary(op) for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")),
    *(binary(op, FLAGS, FLAGS[::-1]) for op in ("And", "Or", "Xor")),
    unary("Not", FLAGS), binary("Pow", Y, X), binary("Div", -WHOLE, WHOLE[::-1]),
    binary("Mod", -WHOLE, WHOLE[::-1]), binary("Mod", X, Y, fmod=1),
    ("Where", {"flag": FLAGS, "x": X, "y": Y}, {}, {}),
    binary("Add", X, X[0, 0]), unary("Gelu"), unary("Gelu", approximate="tanh"),
    unary("Cast", to=7), unary("Cast", WHOLE, to=1), unary("Cast", FLAGS, to=1),
    binary("CastLike", WHOLE, X), shaped("Clip", np.float32(-0.5), np.float32(0.5)),
    shaped("Clip", np.float32(-0.5)), unary("Softmax"), unary("Softmax", axis=1),
    unary("LogSoftmax"), shaped("CumSum", ints(1)),
    *(shaped(op, ints(1), keepdims=keep) for keep in (0, 1)
      for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2")),
    unary("ReduceMean", keepdims=0), shaped("ReduceSum", ints(0, -1)),
    unary("ReduceSum", noop_with_empty_axes=1), unary("ArgMax", axis=-1, keepdims=0),
    unary("ArgMin", axis=1),
    shaped("Reshape", ints(0, -1)), shaped("Reshape", ints(6, 5)), unary("Transpose"),
    unary("Transpose", perm=[1, 2, 0]), shaped("Unsqueeze", ints(0, -1)),
    shaped("Squeeze", ints(1), x=X[:, :1]), unary("Squeeze", X[:1, :1]), unary("Flatten"),
    binary("Concat", axis=1), shaped("Slice", ints(1), ints(FAR), ints(2)),
    shaped("Slice", ints(-1), ints(-FAR), ints(2), ints(-1)),
    shaped("Slice", ints(3), ints(0), ints(2), ints(-2)), shaped("Slice", ints(0, 1), ints(1, -1)),
    shaped("Slice", ints(2), ints(1), ints(1)),
    shaped("Slice", ints(0), ints(5), ints(-1), ints(2)),
    shaped("Gather", ints(1, -1), axis=2), shaped("Gather", ints(-1), axis=1),
    shaped("Gather", np.array(2), axis=2), shaped("Gather", ints(1, 0).reshape(1, 2)),
    ("Gather", {"x": X, "i": WHOLE[:, 0] % 3 - 1}, {}, {"axis": 1}),
    ("GatherElements", {"x": X, "i": WHOLE % 3 - 1}, {}, {"axis": 1}),
    ("GatherND", {"x": X, "i": ints(0, 1, 1, 2).reshape(2, 2)}, {}, {}),
    ("ScatterND", {"x": X, "i": ints(1, 0).reshape(2, 1), "n": Y}, {}, {}),
    ("ScatterElements", {"x": X, "i": WHOLE[:, :1] % 3, "n": Y[:, :1]}, {}, {"axis": 1}),
    shaped("Expand", ints(4, 1, 1, 1)), shaped("Expand", ints(2, 3, 5), x=X[:, :1]),
    shaped("Tile", ints(1, 2, 3)), shaped("Pad", ints(0, 0, 2, 0, 0, 1), np.float32(0.5)),
    shaped("Pad", ints(2, 1), mode="reflect", x=X[0, 0]), shaped("Pad", ints(0, 0, 2, 0, 0, 1),
                                                              mode="edge"),
    shaped("Pad", ints(2, 1), np.float32(0), ints(1)), shaped("Pad", ints(0, -1, 0, -1), x=X[0]),
    shaped("Trilu", np.array(1), x=X[0], upper=0), unary("Trilu", X[0]),
    ("MatMul", {"x": X}, {"w": RNG.standard_normal((5, 4)).astype(np.float32)}, {}),
    binary("MatMul", X, np.swapaxes(Y, 1, 2)),
    ("Gemm", {"x": X[0]}, {"w": W[:, :, 0].T @ W[:, :, 1], "b": X[0, :, 0]}, {"transA": 1}),
    ("Gemm", {"x": X[0].T}, {"w": W[:, :, 0]}, {"transB": 1, "alpha": 0.5}),
    ("Conv", {"x": X}, {"w": W}, {"pads": [1, 1]}),
    ("Conv", {"x": X}, {"w": W, "b": W[:, 0, 0]}, {"pads": [2, 0], "strides": [2]}),
    ("Conv", {"x": X}, {"w": W[:3, :1]}, {"group": 3, "dilations": [2], "pads": [2, 2]}),
    ("Conv", {"x": X[None]}, {"w": W[:, :2, :2, None].repeat(2, 3)}, {}),
    ("ConvTranspose", {"x": X}, {"w": W[:3]}, {"strides": [2], "pads": [1, 1]}),
    ("LayerNormalization", {"x": X}, {"g": Y[0, 0], "b": X[0, 0]}, {"epsilon": 1e-3}),
    ("BatchNormalization", {"x": X}, {name: Y[0, :, i] for i, name in enumerate("gbmv")}, {}),
    ("STFT", {"x": RNG.standard_normal((2, 40, 1)).astype(np.float32)},
     {"step": np.array(4), "window": np.hanning(16).astype(np.float32)}, {}),
]  # fmt: skip


def label(case: Case) -> str:
    return f"{case[0]} {case[3] or ''}"


def both(tmp_path: Path, proto: Any, feeds: dict[str, Any]) -> tuple[Any, Any]:
    """What torch and ONNX Runtime make of it."""
    path = tmp_path / "small.onnx"
    path.write_bytes(proto.SerializeToString())
    model = read_model(path)
    refuse_unknown("small.onnx", model)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in feeds.items()}
    program = Program(model, Weights(model, torch.device("cpu")), tensors)
    assert len(program) >= 1
    return program.run(tensors), by_onnxruntime(path, feeds)


def agree(found: Any, wanted: Any) -> None:
    for name, array in wanted.items():
        assert found[name].numpy().dtype == array.dtype
        np.testing.assert_allclose(found[name].numpy(), array, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_an_operator_says_what_onnxruntime_says(tmp_path: Path, case: Case) -> None:
    op, feeds, weights, attributes = case
    names = [*feeds, *weights]
    if op == "Clip" and len(weights) == 1:
        names.append("")
    if op == "Pad" and len(weights) == 1:
        names.append("")
    node = onnx.helper.make_node(op, names, ["out"], **attributes)
    agree(*both(tmp_path, model_of([node], feeds, ["out"], weights), feeds))


def test_every_known_operator_is_compared() -> None:
    elsewhere = {"Range", "ConstantOfShape", "Constant", "Split", "SplitToSequence", "SequenceAt",
                 "Scan", "RMSNormalization"}  # fmt: skip
    assert {case[0] for case in CASES} | elsewhere == set(OPS)


def test_shapes_become_constants(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    zeros = onnx.numpy_helper.from_array(np.array([2.0], np.float32))
    nodes = [
        make("Shape", ["x"], ["size"], start=1), make("Gather", ["size", "last"], ["n"]),
        make("Constant", [], ["one"], value=onnx.numpy_helper.from_array(np.array(1))),
        make("Constant", [], ["nil"], value=onnx.numpy_helper.from_array(np.array(0))),
        make("Range", ["nil", "n", "one"], ["r"]), make("Cast", ["r"], ["f"], to=1),
        make("ConstantOfShape", ["size"], ["c"], value=zeros), make("Mul", ["f", "c"], ["m"]),
        make("Add", ["x", "m"], ["out"]),
    ]  # fmt: skip
    proto = model_of(nodes, {"x": X}, ["out"], {"last": np.array(1)})
    found, wanted = both(tmp_path, proto, {"x": X})
    agree(found, wanted)


@pytest.mark.parametrize("keep", [0, 1])
def test_pieces_and_sequences(tmp_path: Path, keep: int) -> None:
    make = onnx.helper.make_node
    nodes = [
        make("Split", ["x", "sizes"], ["a", "b"], axis=2), make("Split", ["x"], ["c", "d"],
                                                              axis=2, num_outputs=2),
        make("SplitToSequence", ["x"], ["s"], axis=1, keepdims=keep),
        make("SequenceAt", ["s", "second"], ["e"]),
        make("SplitToSequence", ["x", "sizes"], ["t"], axis=2),
        make("SequenceAt", ["t", "second"], ["f"]),
    ]  # fmt: skip
    weights = {"sizes": ints(2, 3), "second": np.array(1)}
    found, wanted = both(tmp_path, model_of(nodes, {"x": X}, list("abcdef"), weights), {"x": X})
    agree(found, wanted)


def recurrence(state: str = "Mul") -> Any:
    helper = onnx.helper
    info = [helper.make_tensor_value_info(name, 1, [None, None]) for name in ("c", "f", "e")]
    out = [helper.make_tensor_value_info(name, 1, [None, None]) for name in ("n", "o")]
    make = helper.make_node
    nodes = [make(state, ["f", "c"], ["p"]), make("Add", ["p", "e"], ["n"]),
             make("Identity", ["n"], ["o"])]  # fmt: skip
    body = helper.make_graph(nodes, "body", info, out)
    return make("Scan", ["c0", "f", "e"], ["last", "all"], body=body, num_scan_inputs=2)


def test_the_recurrence_of_a_scan(tmp_path: Path) -> None:
    feeds = {"f": Y, "e": X}
    proto = model_of([recurrence()], feeds, ["last", "all"], {"c0": X[0]})
    agree(*both(tmp_path, proto, feeds))


def test_another_scan_is_unrolled(tmp_path: Path) -> None:
    feeds = {"f": Y, "e": X}
    proto = model_of([recurrence("Sub")], feeds, ["last", "all"], {"c0": X[0]})
    agree(*both(tmp_path, proto, feeds))


def test_a_scan_may_look_outside_and_make_rows_of_another_kind(tmp_path: Path) -> None:
    helper = onnx.helper
    make = helper.make_node
    nodes = [make("MatMul", ["c", "outside"], ["p"]), make("Add", ["p", "e"], ["n"]),
             make("ArgMax", ["n"], ["best"], axis=-1)]  # fmt: skip
    ends = [helper.make_tensor_value_info(name, 1, None) for name in ("c", "e", "n")]
    best = helper.make_tensor_value_info("best", 7, None)
    body = helper.make_graph(nodes, "body", ends[:2], [ends[2], best])
    scan = make("Scan", ["c0", "e"], ["last", "chosen"], body=body, num_scan_inputs=1)
    square = RNG.standard_normal((5, 5)).astype(np.float32)
    proto = model_of([scan], {"e": X}, ["last", "chosen"], {"c0": X[0], "outside": square})
    agree(*both(tmp_path, proto, {"e": X}))


def test_a_scan_along_another_axis_is_named(tmp_path: Path) -> None:
    node = recurrence()
    node.attribute.append(onnx.helper.make_attribute("scan_input_axes", [1, 1]))
    proto = model_of([node], {"f": Y, "e": X}, ["last", "all"], {"c0": X[:, 0]})
    with pytest.raises(BundleError, match="operator Scan along other axes"):
        both(tmp_path, proto, {"f": Y, "e": X})


def test_the_norm_of_newer_operator_sets() -> None:
    nodes = [Node("RMSNormalization", ["x", "g"], ["y"], {"epsilon": 1e-6})]
    model = Model(Graph("rms", nodes, {"g": Y[0, 0]}, ["x"], ["y"]), 23, 11)
    feeds = {"x": torch.from_numpy(X)}
    found = Program(model, Weights(model, torch.device("cpu")), feeds).run(feeds)["y"].numpy()
    wanted = X / np.sqrt(np.square(X).mean(-1, keepdims=True) + 1e-6) * Y[0, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (shaped("Pad", ints(0, 0, 1, 0, 0, 1), mode="wrap"), "of mode wrap"),
        (("Conv", {"x": X}, {"w": W}, {"auto_pad": "SAME_UPPER"}), "that pads by itself"),
        (("ConvTranspose", {"x": X}, {"w": W[:3]}, {"pads": [0, 1]}), "with uneven edges"),
        (unary("ArgMax", select_last_index=1), "that selects the last index"),
        (unary("Cast", to=8), "to type 8"),
        (shaped("CumSum", ints(1), reverse=1), "exclusive or reversed"),
        (("ScatterND", {"x": X, "i": ints(0).reshape(1, 1), "n": Y[:1]}, {}, {"reduction": "add"}),
         "that adds up"),
        (("GatherND", {"x": X, "i": ints(0, 0).reshape(2, 1)}, {}, {"batch_dims": 1}),
         "with batch axes"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)  # fmt: skip
def test_a_form_that_is_not_known_is_named(case: Case, says: str) -> None:
    op, feeds, weights, attributes = case
    node = onnx.helper.make_node(op, [*feeds, *weights], ["out"], **attributes)
    graph = Graph("g", [_node(node)], weights, list(feeds), ["out"])
    model = Model(graph, 20, 10)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in feeds.items()}
    with pytest.raises(BundleError, match=f"operator {op} {says}: torch does not play that"):
        Program(model, Weights(model, torch.device("cpu")), tensors)


def _node(proto: Any) -> Node:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    attributes = {k: list(v) if not isinstance(v, int | float | bytes) else v
                  for k, v in attributes.items()}  # fmt: skip
    return Node(proto.op_type, list(proto.input), list(proto.output), attributes)


def test_an_unknown_operator_is_named_before_anything_runs() -> None:
    nodes = [Node("Loop", ["x"], ["y"]), Node("Add", ["x", "y"], ["z"])]
    with pytest.raises(BundleError, match=r"f.onnx has the operator Loop, which the torch backend"):
        refuse_unknown("f.onnx", Model(Graph("g", nodes, {}, ["x"], ["z"]), 20, 10))


def test_an_unknown_operator_inside_a_loop_is_named() -> None:
    body = Graph("b", [Node("Hardmax", ["x"], ["y"])], {}, ["x"], ["y"])
    nodes = [Node("Scan", ["x"], ["y"], {"body": body})]
    with pytest.raises(BundleError, match="has the operator Hardmax"):
        refuse_unknown("f.onnx", Model(Graph("g", nodes, {}, ["x"], ["y"]), 20, 10))


def test_a_shape_only_known_when_it_runs_is_named() -> None:
    nodes = [Node("Reshape", ["x", "shape"], ["y"])]
    model = Model(Graph("g", nodes, {}, ["x", "shape"], ["y"]), 20, 10)
    feeds = {"x": torch.zeros(4), "shape": torch.tensor([2, 2])}
    with pytest.raises(BundleError, match="Reshape wants shape before it runs: torch cannot play"):
        Program(model, Weights(model, torch.device("cpu")), feeds)
