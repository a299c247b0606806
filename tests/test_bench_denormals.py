"""bench.denormals: told apart in processes of their own, for the setting belongs to a thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OPEN = """
from onnx import TensorProto, helper
import onnxruntime as ort
given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [given], [made])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
from engine.backends.ort import session_options
ort.InferenceSession(model.SerializeToString(), session_options(ort, 1), ["CPUExecutionProvider"])
"""
SAY = "from bench.denormals import flushed; print(flushed())"


def said(code: str) -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    return done.stdout.strip()


def test_a_process_keeps_them_of_itself() -> None:
    assert said(SAY) == "False"


def test_the_engines_sessions_flush_them_in_workers_too() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert said(OPEN + SAY) == "True"
