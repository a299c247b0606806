"""What this machine can do at best: a matrix product and a copy, measured."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from bench.opcount import load_onnx

PRODUCT = 512
"""Rows, columns and depth of the product: a few milliseconds, which a busy machine has to spare."""


def product_per_s(threads: int, size: int = PRODUCT, repeats: int = 60) -> float:
    """Operations a second of a float32 matrix product in ONNX Runtime, the best of `repeats`."""
    import onnxruntime

    helper, tensor = load_onnx().helper, load_onnx().TensorProto.FLOAT
    square = [helper.make_tensor_value_info(name, tensor, (size, size)) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product",
                              square[:2], square[2:])  # fmt: skip
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    ones = {name: np.ones((size, size), np.float32) for name in "ab"}
    return 2.0 * size**3 / _best_s(lambda: session.run(None, ones), repeats)


def copy_bytes_per_s(touched: int, threads: int, repeats: int = 60) -> float:
    """Bytes read and written a second by a copy that touches so many, the best of `repeats`."""
    share = max(touched // 2 // threads, 1)
    pairs = [(np.ones(share, np.uint8), np.zeros(share, np.uint8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        best_s = _best_s(lambda: list(pool.map(lambda p: np.copyto(p[1], p[0]), pairs)), repeats)
    return 2.0 * share * threads / best_s


def _best_s(work: Callable[[], object], repeats: int) -> float:
    best_s = float("inf")
    for _ in range(1 + repeats):
        began_s = perf_counter()
        work()
        best_s = min(best_s, perf_counter() - began_s)
    return best_s
