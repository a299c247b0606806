"""What this machine can do at best: a matrix product and a copy, measured."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from bench.opcount import load_onnx
from engine.session import Array

PRODUCT = 512
"""Rows, columns and depth of the product: a few milliseconds, which a busy machine has to spare."""


def product_per_s(threads: int, size: int = PRODUCT, repeats: int = 60) -> float:
    """Operations a second of a float32 matrix product in ONNX Runtime, the best of `repeats`."""
    ones = np.ones((size, size), np.float32)
    return _product_per_s("MatMul", ones, ones, threads, repeats)


def byte_product_per_s(threads: int, size: int = PRODUCT, repeats: int = 60) -> float:
    """The same of bytes with stored int8, as a graph in int8 form has them."""
    ones = np.ones((size, size), np.uint8)
    return _product_per_s("MatMulInteger", ones, ones.astype(np.int8), threads, repeats)


def _product_per_s(kind: str, entering: Array, stored: Array, threads: int, repeats: int) -> float:
    import onnxruntime

    onnx = load_onnx()
    numbers = onnx.helper.np_dtype_to_tensor_dtype
    made = numbers(np.dtype(np.float32 if kind == "MatMul" else np.int32))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, ["a", "b"], ["c"])], "product",
        [onnx.helper.make_tensor_value_info("a", numbers(entering.dtype), entering.shape)],
        [onnx.helper.make_tensor_value_info("c", made, None)],
        [onnx.numpy_helper.from_array(stored, "b")],
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    feeds = {"a": entering}
    return 2.0 * stored.shape[0] ** 3 / _best_s(lambda: session.run(None, feeds), repeats)


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
