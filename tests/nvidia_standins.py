"""Stand-ins for CUDA's runtime and for TensorRT, as far as the engine calls them.

CUDA's stream is a queue that is worked off when it is waited for; a capture takes what is queued
into a graph. Memory is the host's. A TensorRT engine is the ONNX file it was built of, run by ONNX
Runtime; refitting puts another file in its place. Every call that the real library answers with a
code or a flag is answered so here, and can be made to fail.
"""

from __future__ import annotations

import ctypes
import enum
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime

CODES = enum.IntEnum("cudaError_t", {"cudaSuccess": 0, "cudaErrorMemoryAllocation": 2,
                                     "cudaErrorIllegalAddress": 700})  # fmt: skip


class FakeCuda:
    """`cuda.bindings.runtime`."""

    cudaMemcpyKind = SimpleNamespace(  # noqa: N815
        cudaMemcpyHostToDevice="to", cudaMemcpyDeviceToHost="from", cudaMemcpyDeviceToDevice="on"
    )
    cudaStreamCaptureMode = SimpleNamespace(  # noqa: N815
        cudaStreamCaptureModeThreadLocal="thread"
    )

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.queue: list[Callable[[], None]] = []
        self.capturing: list[Callable[[], None]] | None = None
        self.fails: dict[str, Any] = {}
        self.called: list[str] = []
        self._plain = {"cudaFree": self._free, "cudaFreeHost": self._free,
                       "cudaMalloc": self._malloc, "cudaMallocHost": self._malloc}  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*given: Any) -> tuple[Any, ...]:
            self.called.append(name)
            if name in self.fails:
                return self.fails[name], *([None] * (name in ("cudaMalloc", "cudaStreamCreate")))
            do = self._plain.get(name) or getattr(self, "_" + name.removeprefix("cuda"))
            return CODES.cudaSuccess, *do(*given)

        return call

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.capturing is None else self.capturing).append(work)

    def _malloc(self, size: int) -> tuple[int]:
        block = (ctypes.c_byte * size)(*([77] * min(size, 8)))
        self.memory[ctypes.addressof(block)] = block
        return (ctypes.addressof(block),)

    def _free(self, address: int) -> tuple[()]:
        del self.memory[address]
        return ()

    def _StreamCreate(self) -> tuple[str]:  # noqa: N802
        return ("stream",)

    def _StreamSynchronize(self, stream: str) -> tuple[()]:  # noqa: N802
        assert stream == "stream" and self.capturing is None
        while self.queue:
            self.queue.pop(0)()
        return ()

    def _MemsetAsync(self, address: int, value: int, size: int, stream: str) -> tuple[()]:  # noqa: N802
        self.put(lambda: ctypes.memset(address, value, size) and None)
        return ()

    def _MemcpyAsync(  # noqa: N802
        self, target: int, source: int, size: int, kind: str, stream: str
    ) -> tuple[()]:
        assert kind in ("to", "from", "on") and stream == "stream"
        self.put(lambda: ctypes.memmove(target, source, size) and None)
        return ()

    def _Memcpy2DAsync(  # noqa: N802
        self, target: int, pitch: int, source: int, other: int, width: int, rows: int,
        kind: str, stream: str,
    ) -> tuple[()]:  # fmt: skip
        assert kind == "on" and stream == "stream" and width <= min(pitch, other)

        def work() -> None:
            for row in range(rows):
                ctypes.memmove(target + row * pitch, source + row * other, width)

        self.put(work)
        return ()

    def _StreamBeginCapture(self, stream: str, mode: str) -> tuple[()]:  # noqa: N802
        self.capturing = []
        return ()

    def _StreamEndCapture(self, stream: str) -> tuple[list[Any]]:  # noqa: N802
        taken, self.capturing = self.capturing or [], None
        return (taken,)

    def _GraphInstantiate(self, graph: list[Any], flags: int) -> tuple[list[Any]]:  # noqa: N802
        return (list(graph),)

    def _GraphDestroy(self, graph: list[Any]) -> tuple[()]:  # noqa: N802
        graph.clear()
        return ()

    def _GraphExecDestroy(self, graph: list[Any]) -> tuple[()]:  # noqa: N802
        graph.clear()
        return ()

    def _GraphLaunch(self, graph: list[Any], stream: str) -> tuple[()]:  # noqa: N802
        self.queue += graph
        return ()


class Enum(SimpleNamespace):
    """Names that can be told apart."""


class FakeTensorRt:
    """`tensorrt`, of a version, above a `FakeCuda`."""

    def __init__(self, cuda: FakeCuda, version: str = "10.13.0") -> None:
        self.cuda, self.__version__ = cuda, version
        self.BuilderFlag = Enum(REFIT="refit", TF32="tf32")
        typed = {"STRONGLY_TYPED": 1} if version.startswith("10") else {}
        self.NetworkDefinitionCreationFlag = Enum(**typed)
        self.TensorIOMode = Enum(INPUT="in", OUTPUT="out")
        self.built: list[dict[str, Any]] = []
        self.unreadable: list[str] = []
        self.unbuildable = False
        self.missing: list[str] = []

        class ILogger:
            ERROR, INTERNAL_ERROR, WARNING = "error", "internal", "warning"

            def __init__(self) -> None: ...

        class IProgressMonitor:
            def __init__(self) -> None: ...

        self.ILogger, self.IProgressMonitor = ILogger, IProgressMonitor

    # ---- building --------------------------------------------------------------------------

    def Builder(self, log: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(flags=flags),
            create_builder_config=FakeConfig,
            create_optimization_profile=FakeProfile,
            build_serialized_network=lambda net, config: self._built(net, config, log),
        )

    def OnnxParser(self, network: Any, log: Any) -> Any:  # noqa: N802
        def parse(content: bytes) -> bool:
            network.content = content
            model = onnx.load_from_string(content)
            names = [SimpleNamespace(name=value.name) for value in model.graph.input]
            network.num_inputs, network.get_input = len(names), lambda i: names[i]
            return not self.unreadable

        return SimpleNamespace(
            parse=parse, num_errors=len(self.unreadable), get_error=lambda i: self.unreadable[i]
        )

    def _built(self, network: Any, config: Any, log: Any) -> bytes | None:
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 20)
        for step in range(20):
            assert monitor.step_complete("Building engine", step)
        monitor.phase_finish("Building engine")
        self.built.append({"flags": network.flags, "config": config})
        if self.unbuildable:
            log.log(self.ILogger.ERROR, "no tactic for node MatMul_7")
            return None
        (profile,) = config.profiles
        head = json.dumps({"version": self.__version__, "shapes": profile.shapes}).encode()
        return head + b"\n" + network.content

    # ---- running ---------------------------------------------------------------------------

    def Runtime(self, log: Any) -> Any:  # noqa: N802
        return SimpleNamespace(deserialize_cuda_engine=self._engine)

    def _engine(self, plan: bytes) -> Any:
        head, _, content = plan.partition(b"\n")
        about = json.loads(head)
        return FakeEngine(self, about, content) if about["version"] == self.__version__ else None

    def Refitter(self, engine: Any, log: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            engine=engine, get_missing_weights=lambda: self.missing, refit_cuda_engine=lambda: True
        )

    def OnnxParserRefitter(self, refitter: Any, log: Any) -> Any:  # noqa: N802
        def refit(content: bytes) -> bool:
            refitter.engine.content = content
            return True

        return SimpleNamespace(refit_from_bytes=refit)


class FakeConfig:
    """IBuilderConfig."""

    def __init__(self) -> None:
        self.flags: set[str] = {"tf32"}
        self.profiles: list[Any] = []
        self.progress_monitor: Any = None
        self.timings = b""

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles.append(profile)
        return 0

    def create_timing_cache(self, content: bytes) -> Any:
        self.timings = content
        return SimpleNamespace(serialize=lambda: content + b"+timed")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache


class FakeProfile:
    """IOptimizationProfile."""

    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, least: Any, usual: Any, most: Any) -> None:
        self.shapes[name] = (least, usual, most)


class FakeEngine:
    """ICudaEngine."""

    def __init__(self, trt: FakeTensorRt, about: dict[str, Any], content: bytes) -> None:
        self.trt, self.about, self.content = trt, about, content
        model = onnx.load_from_string(content)
        self._in = [value.name for value in model.graph.input]
        self._out = [value.name for value in model.graph.output]
        self.num_io_tensors = len(self._in + self._out)

    def get_tensor_name(self, i: int) -> str:
        return (self._in + self._out)[i]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in self._in else "out"

    def serialize(self) -> bytes:
        return json.dumps(self.about).encode() + b"\n" + self.content

    def create_execution_context(self) -> Any:
        return FakeContext(self, self._in, self._out)


class FakeContext:
    """IExecutionContext."""

    def __init__(self, engine: FakeEngine, entering: list[str], leaving: list[str]) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = onnxruntime.InferenceSession(
            engine.content, options, providers=["CPUExecutionProvider"]
        )
        self._types = {value.name: np.int64 if "int64" in value.type else np.float32
                       for value in self._session.get_inputs()}  # fmt: skip
        self._ranges, self._cuda = engine.about["shapes"], engine.trt.cuda
        self._in, self._out = entering, leaving
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._places: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream: str) -> bool:
        return index == 0 and stream == "stream"

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self._ranges[name]
        self._shapes[name] = tuple(shape)
        return all(a <= n <= b for a, n, b in zip(least, shape, most, strict=True))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._places[name] = address
        return name in (*self._in, *self._out)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        zeros = {n: np.zeros(shape, self._types[n]) for n, shape in self._shapes.items()}
        return tuple(self._session.run([name], zeros)[0].shape)

    def execute_async_v3(self, stream: str) -> bool:
        def work() -> None:
            feeds = {name: self._array(name, shape) for name, shape in self._shapes.items()}
            made = self._session.run(self._out, feeds)
            for name, array in zip(self._out, made, strict=True):
                self._array(name, array.shape)[...] = array

        self._cuda.put(work)
        return set(self._places) == {*self._in, *self._out}

    def _array(self, name: str, shape: tuple[int, ...]) -> Any:
        kind = np.dtype(self._types.get(name, np.float32))
        count = int(np.prod(shape))
        raw = (ctypes.c_byte * (count * kind.itemsize)).from_address(self._places[name])
        return np.frombuffer(raw, kind, count).reshape(shape)
