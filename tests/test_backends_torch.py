"""The torch backend on the processor: what a bundle's graphs say, and what is said of them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from engine.backends.device import graphs_of  # noqa: E402
from engine.backends.ort import OrtBackend  # noqa: E402
from engine.backends.torch import TorchBackend, load_torch  # noqa: E402
from engine.backends.torch.device import TorchDevice, out_of_memory  # noqa: E402
from engine.backends.torch.tick import TorchTick, bytes_of  # noqa: E402
from engine.bundle import Bundle, default_bundle_path  # noqa: E402
from engine.controls import Controls  # noqa: E402
from engine.errors import BundleError, UsageError  # noqa: E402
from engine.generator import Generator  # noqa: E402
from engine.window import noise  # noqa: E402
from export.parity import LIMIT, relative  # noqa: E402
from tests.test_backends_resident import played  # noqa: E402
from tests.tiny_export import packed, packed_prompting  # noqa: E402
from tests.tiny_graphs import tiny_bundle  # noqa: E402

SIZES = {"batch": 2, "chunks": 3, "tokens": 9, "words": 4, "n": 5}


def asked(bundle: Bundle, graph: str) -> dict[str, np.ndarray]:
    """What a graph may meet."""
    manifest, rng = bundle.manifest, np.random.default_rng(0)
    frames = manifest.chunk_frames[0]
    sizes = SIZES | {"frames": frames, "samples": 8 * frames * manifest.latent.frame_samples}
    spec = manifest.graphs[graph]
    feeds: dict[str, np.ndarray] = {}
    for tensor in (*spec.inputs, *spec.states):
        shape = tensor.resolve(sizes)
        feeds[tensor.name] = rng.standard_normal(shape).astype(np.float32)
        if tensor.dtype == "int64":
            feeds[tensor.name] = rng.integers(0, 4, shape)
        elif tensor.name in ("filled", "sees"):
            feeds[tensor.name] = (rng.random(shape) < 0.7).astype(np.float32)
    return feeds


def check_graphs(bundle: Bundle) -> None:
    """Every graph, run and bound, within the bound that exports are held to."""
    ours, theirs = TorchBackend(bundle, device="cpu"), OrtBackend(bundle)
    for graph in graphs_of(bundle):
        feeds = asked(bundle, graph)
        wanted = theirs.session(graph).run(feeds)
        found = ours.session(graph).run(feeds)
        assert found.keys() == wanted.keys()
        out = {name: np.zeros_like(array) for name, array in wanted.items()}
        ours.session(graph).bind(feeds, out)()
        for name, array in wanted.items():
            if array.dtype == np.int64:
                np.testing.assert_array_equal(found[name], array)
            else:
                assert relative(found[name], array) < LIMIT, (graph, name)
            np.testing.assert_array_equal(out[name], found[name])


@pytest.mark.parametrize("made", [packed, packed_prompting], ids=["exported", "prompting"])
def test_tiny_bundles_say_what_onnxruntime_says(made: Any) -> None:
    check_graphs(made()[1])


def test_the_shipped_bundle_says_what_onnxruntime_says() -> None:
    check_graphs(Bundle.open(default_bundle_path()))


def test_music_is_the_same(take: np.ndarray) -> None:
    _, bundle = packed_prompting()
    streams = []
    for backend in (OrtBackend(bundle), TorchBackend(bundle, device="cpu")):
        generator = Generator(bundle, backend, seed=3)
        generator.prime(take[:20000])
        streams.append(played(generator, 8, guidance=2.0))
    assert relative(streams[1], streams[0]) < 1e-3
    assert streams[0].std() > 1e-6


def test_half_precision_is_near_and_not_the_same() -> None:
    _, bundle = packed_prompting()
    feeds = asked(bundle, "velocity")
    exact, half = (
        TorchBackend(bundle, device="cpu", half=half).session("velocity").run(feeds)["velocity"]
        for half in (False, True)
    )
    assert 0 < relative(half, exact) < 2e-2


# ---- a tick in one piece -------------------------------------------------------------------------


@pytest.mark.parametrize("made", [packed, packed_prompting], ids=["exported", "prompting"])
def test_streams_in_one_batch_are_the_streams_alone(made: Any) -> None:
    _, bundle = made()
    manifest, frames = bundle.manifest, bundle.manifest.chunk_frames[0]
    controls = Controls(manifest.controls)
    controls.update({"steps": 4} | ({"guidance": 1.0} if manifest.prompting else {}))
    device = TorchDevice(bundle, "cpu")
    tick = TorchTick(bundle, device.graphs, device.where, streams=2, steps=4)
    alone = [Generator(bundle, OrtBackend(bundle), seed=seed) for seed in (1, 2)]
    scale = controls.snapshot().value("temperature", 1.0)
    for index in range(manifest.context.chunks + 2):  # once around the ring
        blocks = [generator.tick(controls.snapshot()) for generator in alone]
        for row, block in enumerate(blocks):
            z = noise(row + 1, index, frames, manifest.latent.dim) * scale
            tick.noise[row, 0] = torch.from_numpy(z)
            if manifest.prompting:
                tick.asked["tokens"][row, 0] = torch.from_numpy(block.plan.tokens)
                tick.asked["brief"][row, 0] = torch.from_numpy(block.plan.brief)
        tick.go()
        for row, block in enumerate(blocks):
            assert relative(tick.latents[row, 0].numpy(), block.latents) < 1e-3
            assert relative(tick.heard()[row].T, block.audio) < 1e-3


def test_a_stream_that_begins_anew_disturbs_no_other(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    device = TorchDevice(bundle, "cpu")
    heard = []
    for begins in (False, True):
        tick = TorchTick(bundle, device.graphs, device.where, streams=2, steps=2)
        for index in range(4):
            tick.noise.copy_(
                torch.sin(torch.arange(tick.noise.numel()) + index).view_as(tick.noise)
            )
            if begins and index == 2:
                tick.reset(slice(0, 1))
            tick.go()
        heard.append(tick.heard())
    np.testing.assert_array_equal(heard[0][1], heard[1][1])
    assert np.abs(heard[0][0] - heard[1][0]).max() > 0
    assert bytes_of(tick) == 4 * (6 * 8 + 480) and tick.operators > 20


def test_a_window_has_no_tick_in_one_piece(tmp_path: Path) -> None:
    from engine.backends import standin

    window = standin.bundle(kind="window")
    with pytest.raises(UsageError, match="needs a bundle with a cached context"):
        TorchTick(window, {}, torch.device("cpu"))


# ---- what cannot be ------------------------------------------------------------------------------


def test_without_torch_the_cure_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"torch cannot be loaded .*: pip install torch"):
        load_torch()


def test_without_a_gpu_cuda_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="torch sees no CUDA device: install a driver"):
        TorchBackend(tiny_bundle(tmp_path / "tiny"), device="cuda")


def test_a_bundle_in_memory_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="lies in memory"):
        TorchBackend(bundle)


def test_a_graph_it_does_not_know_is_named(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    assert bundle.path is not None
    onnx = pytest.importorskip("onnx")
    path = bundle.path / "decoder.onnx"
    model = onnx.load(path)
    model.graph.node[0].op_type = "Hardmax"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"decoder.onnx has the operator Hardmax"):
        TorchDevice(bundle, "cpu")


def test_no_memory_left_is_one_line() -> None:
    error = out_of_memory(RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB"))
    assert str(error).startswith("the GPU is out of memory (CUDA out of memory. Tried to allocate")
