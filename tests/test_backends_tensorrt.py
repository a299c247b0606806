"""The TensorRT backend above stand-ins for TensorRT and CUDA."""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from engine.backends import gpu, tensorrt
from engine.backends.onnx_model import read_model
from engine.backends.ort import OrtBackend
from engine.backends.tensorrt import TensorRtBackend, build, cudart, structure
from engine.bundle import Bundle, seal
from engine.enginecache import EngineCache
from engine.errors import BundleError, UsageError
from engine.generator import Generator
from tests.nvidia_standins import CODES, FakeCuda, FakeTensorRt
from tests.test_backends_resident import played
from tests.tiny_graphs import tiny_bundle

Open = Callable[..., TensorRtBackend]
CARRY = np.zeros((1, 1, 480), np.float32)


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def trt(cuda: FakeCuda) -> FakeTensorRt:
    return FakeTensorRt(cuda)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def opened(
    trt: FakeTensorRt, cuda: FakeCuda, said: list[str], tmp_path: Path, monkeypatch: Any
) -> Open:
    monkeypatch.setattr(tensorrt, "load_tensorrt", lambda: trt)
    monkeypatch.setattr(tensorrt, "load_cudart", lambda: cuda)
    monkeypatch.setattr(tensorrt, "first_gpu", lambda: gpu.Gpu("H200", "9.0", "580.1"))
    cache = EngineCache(tmp_path / "cache", say=said.append)
    return lambda bundle, **options: TensorRtBackend(
        bundle, cache=cache, say=said.append, **{"half": False, **options}
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


@pytest.mark.parametrize("version", ["10.13.0", "11.4.0"])
def test_it_plays_what_the_processor_plays(
    trt: FakeTensorRt, opened: Open, bundle: Bundle, take: np.ndarray, version: str
) -> None:
    trt.__version__ = version
    streams = []
    for backend in (OrtBackend(bundle), opened(bundle)):
        generator = Generator(bundle, backend, seed=3)
        generator.prime(take[:8000])  # one chunk; devices take several one by one
        streams.append(played(generator, 8))
    np.testing.assert_allclose(streams[0], streams[1], atol=1e-6)
    assert backend.providers() == [f"H200, TensorRT {version}", "CPUExecutionProvider"]


def test_a_tick_launches_graphs_and_allocates_nothing(
    cuda: FakeCuda, opened: Open, bundle: Bundle
) -> None:
    generator = Generator(bundle, opened(bundle))
    played(generator, 2)
    cuda.called.clear()
    played(generator, 1)
    calls = {name: cuda.called.count(name) for name in set(cuda.called)}
    assert calls["cudaGraphLaunch"] == 10 + 1  # passes, decoder
    assert calls["cudaMemcpy2DAsync"] == 1  # a finished chunk into its ring
    copies = {"cudaMemcpyAsync", "cudaMemcpy2DAsync"}
    assert set(calls) == {"cudaGraphLaunch", "cudaStreamSynchronize"} | copies


def test_the_network_is_strongly_typed_and_exact(
    trt: FakeTensorRt, opened: Open, bundle: Bundle, said: list[str]
) -> None:
    opened(bundle)
    for built in trt.built:
        assert built["flags"] == 1 << 1
        assert built["config"].flags == {"refit"}
    assert trt.built[1]["config"].timings == b"+timed"  # of the first build
    assert "TensorRT: Building engine, 50 %" in said


def test_half_precision_is_in_the_velocity_graph_only(
    trt: FakeTensorRt, opened: Open, bundle: Bundle
) -> None:
    opened(bundle, half=True)
    flags = [built["config"].flags for built in trt.built]
    assert flags == [{"refit", "tf32"}, {"refit"}]


def test_an_engine_is_kept_and_refitted_to_new_weights(
    trt: FakeTensorRt, opened: Open, bundle: Bundle, said: list[str]
) -> None:
    opened(bundle)
    opened(bundle)
    assert len(trt.built) == 2
    tuned = _tuned(bundle)
    backend = opened(tuned)
    assert len(trt.built) == 2 and any("weights of this bundle" in line for line in said)
    wanted = played(Generator(tuned, OrtBackend(tuned)), 2)
    np.testing.assert_allclose(played(Generator(tuned, backend), 2), wanted, atol=1e-6)
    trt.missing = ["mix"]
    opened(_tuned(tuned))
    assert len(trt.built) == 4  # what cannot be refitted is built anew


def _tuned(bundle: Bundle) -> Bundle:
    """The same graphs, other weights in the decoder."""
    assert bundle.path is not None
    path = bundle.path / "decoder.onnx"
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "mix":
            array = 1.5 * onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, "mix"))
    path.write_bytes(model.SerializeToString())
    return seal(bundle.path, bundle.manifest.to_json())


def test_another_version_builds_its_own_engine(
    trt: FakeTensorRt, opened: Open, bundle: Bundle
) -> None:
    opened(bundle)
    trt.__version__ = "10.14.0"
    opened(bundle)
    assert len(trt.built) == 4


def test_what_tensorrt_does_not_read_or_build_is_told(
    trt: FakeTensorRt, opened: Open, bundle: Bundle
) -> None:
    trt.unreadable = ["node 3: unsupported operator STFT"]
    with pytest.raises(BundleError, match="TensorRT does not read the graph: node 3: unsupported"):
        opened(bundle)
    trt.unreadable, trt.unbuildable = [], True
    with pytest.raises(UsageError, match="TensorRT built no engine: no tactic for node MatMul_7"):
        opened(bundle)


def test_a_shape_outside_the_profile_is_refused(opened: Open, bundle: Bundle) -> None:
    session = opened(bundle).session("decoder")
    feeds = {
        "latents": np.zeros((1, 500, 8), np.float32),
        "carry": np.zeros((1, 1, 480), np.float32),
    }
    with pytest.raises(UsageError, match="TensorRT refuses shape of latents of decoder"):
        session.run(feeds)


def test_room_of_another_shape_is_refused(opened: Open, bundle: Bundle) -> None:
    session = opened(bundle).session("decoder")
    feeds = {
        "latents": np.zeros((1, 16, 8), np.float32),
        "carry": np.zeros((1, 1, 480), np.float32),
    }
    out = {
        "audio": np.zeros((1, 1, 480), np.float32),
        "carry_next": np.zeros((1, 1, 480), np.float32),
    }
    with pytest.raises(UsageError, match=r"decoder makes audio of \[1, 1, 7680\], there is room"):
        session.bind(feeds, out)


# ---- CUDA's return codes -------------------------------------------------------------------------


def test_every_code_is_looked_at(cuda: FakeCuda, opened: Open, bundle: Bundle) -> None:
    backend = opened(bundle)
    generator = Generator(bundle, backend)
    for name in ("cudaGraphLaunch", "cudaMemcpyAsync", "cudaStreamSynchronize"):
        cuda.fails = {name: CODES.cudaErrorIllegalAddress}
        with pytest.raises(UsageError, match=f"{name} failed with cudaErrorIllegalAddress"):
            played(generator, 1)
        cuda.fails = {}
        cuda.queue.clear()
        generator.recover()
    played(generator, 1)


def test_no_memory_left_is_named(cuda: FakeCuda, opened: Open, bundle: Bundle) -> None:
    backend = opened(bundle)
    cuda.fails = {"cudaMalloc": CODES.cudaErrorMemoryAllocation}
    with pytest.raises(UsageError, match="the GPU is out of memory"):
        Generator(bundle, backend)


def test_memory_of_a_single_run_is_given_back(cuda: FakeCuda, opened: Open, bundle: Bundle) -> None:
    session = opened(bundle).session("decoder")
    before = set(cuda.memory)
    feeds = {"latents": np.ones((1, 3, 8), np.float32), "carry": CARRY}
    assert session.run(feeds)["audio"].shape == (1, 1, 1440)
    assert set(cuda.memory) == before


def test_a_stream_that_has_left_leaves_no_memory_behind(
    cuda: FakeCuda, opened: Open, bundle: Bundle
) -> None:
    backend = opened(bundle)
    before = set(cuda.memory)
    generator = Generator(bundle, backend)
    played(generator, 2)
    assert len(cuda.memory) > len(before)
    del generator
    gc.collect()
    assert set(cuda.memory) == before
    assert "cudaGraphExecDestroy" in cuda.called


def test_a_buffer_is_written_again_only_when_it_was_read(cuda: FakeCuda) -> None:
    one = cudart.Cuda(cuda)
    buffer = cudart.CudaBuffer(one, (2,), "float32")
    out = np.zeros(2, np.float32)
    buffer.write(np.float32([1, 2]))
    buffer.write(np.float32([3, 4]))  # waits for the first
    buffer.fetch()
    one.wait()
    buffer.land(out)
    np.testing.assert_array_equal(out, [3, 4])


# ---- what is installed ---------------------------------------------------------------------------


def test_what_is_missing_is_named_with_the_extra(monkeypatch: Any) -> None:
    for name in ("tensorrt", "cuda", "cuda.bindings"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UsageError, match=r"TensorRT cannot be loaded .* perpetuo\[tensorrt\]"):
        build.load_tensorrt()
    with pytest.raises(UsageError, match=r"cuda-python cannot be loaded .* perpetuo\[tensorrt\]"):
        cudart.load_cudart()


@pytest.mark.parametrize(("version", "fine"), [("9.3.0", 0), ("10.13", 1), ("11.4", 1), ("12", 0)])
def test_the_versions_that_can_be_used(monkeypatch: Any, version: str, fine: int) -> None:
    module = ModuleType("tensorrt")
    module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", module)
    if fine:
        assert build.load_tensorrt() is module
    else:
        with pytest.raises(UsageError, match=f"TensorRT is {version}, 10 or 11 is needed"):
            build.load_tensorrt()


def test_cuda_by_its_former_name(monkeypatch: Any) -> None:
    former = SimpleNamespace()
    package = ModuleType("cuda")
    package.cudart = former  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "cuda", package)
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings", None)
    assert cudart.load_cudart() is former


def test_structure_is_all_but_the_values_of_weights(bundle: Bundle) -> None:
    model = read_model(bundle.file("velocity.onnx"))
    graph = model.graph

    def changed(name: str, value: np.ndarray) -> str:
        return structure(
            replace(model, graph=replace(graph, weights=graph.weights | {name: value}))
        )

    assert changed("half", np.float32(0.7)) == structure(model)
    assert changed("half", np.float32([0.7])) != structure(model)
    assert changed("pair", np.array([2, 2])) != structure(model)  # axes are no weights
