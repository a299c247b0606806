"""ONNX models: nothing small is lost, free axes stay free, both forms of the recurrence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tiny_export import packed
from torch import nn

from engine.tensors import TensorSpec
from export.graphs import Feeds, Graph, descend_graph
from export.onnx_graph import to_onnx
from export.parity import LIMIT, in_onnxruntime, measure
from model.presets import TINY
from model.velocity import VelocityNetwork


class LogOfNearlyNothing(nn.Module):
    def forward(self, feeds: Feeds) -> Feeds:
        return {"y": torch.log10(feeds["x"] + 1e-9)}


def test_a_tiny_constant_is_not_optimised_away(tmp_path: Path) -> None:
    x, y = (TensorSpec(name, "float32", (1, "frames")) for name in "xy")
    graph = Graph("floor", LogOfNearlyNothing(), (x,), (y,))
    ir.save(to_onnx(graph, scan=True), tmp_path / "floor.onnx")
    silence = np.zeros((1, 9), np.float32)
    assert in_onnxruntime(tmp_path / "floor.onnx")({"x": silence})["y"] == pytest.approx(-9.0)


def test_the_encoder_hears_silence() -> None:
    _, bundle = packed()
    run = in_onnxruntime(bundle.file("encoder.onnx"))
    for frames in (1, 2, 50):
        latents = run({"audio": np.zeros((1, 1, frames * 160), np.float32)})["latents"]
        assert latents.shape == (1, frames, 8)
        assert np.isfinite(latents).all()


@pytest.mark.parametrize("frames", [1, 2, 16, 33])
def test_the_decoder_takes_any_number_of_frames(frames: int) -> None:
    pair, bundle = packed()
    run = in_onnxruntime(bundle.file("decoder.onnx"))
    states = pair.graphs()[1].initial_states()
    audio = run({"latents": np.zeros((1, frames, 8), np.float32), **states})["audio"]
    assert audio.shape == (1, 1, frames * 160)


def test_one_form_scans_and_the_other_is_unrolled() -> None:
    _, bundle = packed()
    counts = [
        sum(node.op_type == "Scan" for node in ir.load(bundle.file(file)).graph)
        for file in ("velocity.onnx", "velocity.unrolled.onnx", "descend.onnx")
    ]
    assert counts[0] > 0
    assert counts[1] == 0
    assert counts[2] == 1, "its passes are the only steps"


def test_a_marked_past_is_that_of_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = VelocityNetwork(replace(TINY.prompted, chunk_frames=4)).eval()  # three segments
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.05 * torch.randn_like(weight)
    graph, file = descend_graph(network), tmp_path / "descend.onnx"
    ir.save(to_onnx(graph, scan=False, marking=True), file)
    assert measure(graph, file).against_torch < LIMIT


def test_no_trace_of_this_machine_is_left_in_the_files() -> None:
    _, bundle = packed()
    assert bundle.path is not None
    for path in bundle.path.glob("*.onnx"):
        content = path.read_bytes()
        assert b"/work" not in content
        assert b".py" not in content
        assert str(Path.home()).encode() not in content


def test_no_matrix_is_stored_as_one_graph_wants_it_and_as_another() -> None:
    """Also where a network is in a scan and beside it: nothing stored is turned to be read."""
    _, bundle = packed()
    for file in ("velocity.onnx", "descend.onnx"):
        model = ir.load(bundle.file(file))
        stored = {name.removesuffix(".half") for name in model.graph.initializers}
        turned = [
            node for node in model.graph.all_nodes()
            if node.op_type == "Transpose" and node.inputs[0] is not None
            and str(node.inputs[0].name).removesuffix(".wide") in stored
        ]  # fmt: skip
        assert not turned, file
