"""ONNX Runtime with its CUDA or TensorRT provider: everything of a tick stays on the GPU.

What runs in every tick (`HOT`) is loaded on the GPU with a CUDA graph for every bound call; what
runs once a take, a prompt or a token stays on the processor, where a launch costs nothing. Buffers
are OrtValues. ONNX Runtime waits for its stream at the end of every run, so what a run leaves is
there when it returns.

Not run on a GPU: the same code is tested with OrtValues in the processor's memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from engine.backends.device import Buffer, graphs_of
from engine.backends.onnx_model import Graph, Model, Node
from engine.backends.onnx_write import door, write_model
from engine.backends.ort import (
    CPU,
    check_graph,
    load_runtime,
    open_cpu,
    refuse_outside,
    session_options,
)
from engine.backends.resident import DeviceBackend
from engine.bundle import Bundle
from engine.errors import BundleError, UsageError
from engine.session import Array, Session

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
HOT = ("velocity", "decoder")
"""Graphs of every tick."""

Options = Mapping[str, str]
NO_GRAPH = "-1"
"""The number of a run that no CUDA graph is made of."""


def cuda_options(graphs: bool) -> dict[str, str]:
    """Float32 stays float32; memory grows by what is needed."""
    return {
        "enable_cuda_graph": "1" if graphs else "0", "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC",
    }  # fmt: skip


class OrtValueBuffer:
    """An OrtValue."""

    def __init__(self, value: Any, shape: tuple[int, ...], dtype: str) -> None:
        self.value, self.shape, self.dtype = value, shape, dtype
        self.puts: dict[tuple[int, int], Callable[[int, int], None]] = {}
        """Bound copies into this buffer, by where from and along which axis; gone with it."""

    def write(self, array: Array) -> None:
        """Copied at once."""
        self.value.update_inplace(np.ascontiguousarray(array))

    def fetch(self) -> None:
        """Nothing: `land` copies."""

    def land(self, out: Array) -> None:
        """Copied at once."""
        out[...] = self.value.numpy()


class OrtDevice:
    """Sessions of a provider, and buffers where they run."""

    def __init__(self, runtime: Any, kind: str, name: str, providers: list[Any]) -> None:
        """`kind` is cuda, or cpu for the tests; `providers` are those of plain runs."""
        self.name = name
        self._runtime, self._kind = runtime, kind
        self._sessions: dict[str, Any] = {}
        self._plain: dict[str, Callable[[], Any]] = {}
        self._numbers = itertools.count(1)
        self._putters: dict[tuple[str, tuple[int, ...], int], Any] = {}
        self._providers = providers

    def add(self, graph: str, session: Any, plain: Callable[[], Any] | None = None) -> None:
        """A loaded graph; `plain` loads it without CUDA graphs, should none be had of it."""
        self._sessions[graph] = session
        if plain is not None:
            self._plain[graph] = plain

    def buffer(self, shape: tuple[int, ...], dtype: str) -> OrtValueBuffer:
        """Memory where the sessions run; UsageError where there is none left."""
        try:
            zeros = np.zeros(shape, dtype)
            value = self._runtime.OrtValue.ortvalue_from_numpy(zeros, self._kind, 0)
        except Exception as error:  # the runtime's own classes have no common base
            raise UsageError(f"no memory of the GPU for {list(shape)}: {error!s:.160}") from None
        return OrtValueBuffer(value, shape, dtype)

    def bind(
        self, graph: str, feeds: Mapping[str, Buffer], out: Mapping[str, Buffer]
    ) -> Callable[[], None]:
        """A call that runs a graph; its CUDA graph, where there is one, has a number of its own.

        It is run once: a graph that cannot be captured shows here, and is loaded without.
        """
        go = self._bound(graph, feeds, out)
        try:
            go()
        except Exception as error:  # the runtime's own classes have no common base
            if graph not in self._plain:
                raise UsageError(f"{graph} does not run on {self.name}: {error!s:.200}") from None
            self._sessions[graph] = self._plain.pop(graph)()
            return self.bind(graph, feeds, out)
        return go

    def _bound(
        self, graph: str, feeds: Mapping[str, Buffer], out: Mapping[str, Buffer]
    ) -> Callable[[], None]:
        session = self._sessions[graph]
        binding = session.io_binding()
        for name, buffer in feeds.items():
            binding.bind_ortvalue_input(name, _value(buffer))
        for name, buffer in out.items():
            binding.bind_ortvalue_output(name, _value(buffer))
        options, kept = self._run_options(str(next(self._numbers))), (dict(feeds), dict(out))

        def go() -> None:
            assert kept
            session.run_with_iobinding(binding, options)

        return go

    def put(self, source: Buffer, at: int, target: Buffer, to: int, axis: int) -> None:
        """By a small graph that writes into what it reads, value by value."""
        puts, key = _held(target).puts, (id(source), axis)
        if key not in puts:
            puts[key] = self._putter(source, target, axis)
        puts[key](at, to)

    def wait(self) -> None:
        """Every run has waited already."""

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One run from and into the processor's memory."""
        session = self._sessions[graph]
        names = [output.name for output in session.get_outputs()]
        outputs = session.run(names, dict(feeds), self._run_options(NO_GRAPH))
        return dict(zip(names, outputs, strict=True))

    def _putter(self, source: Buffer, target: Buffer, axis: int) -> Callable[[int, int], None]:
        kind = target.dtype, target.shape, axis
        if kind not in self._putters:
            options = session_options(self._runtime, 1)
            self._putters[kind] = self._runtime.InferenceSession(
                putter(*kind), options, self._providers
            )
        session, places = self._putters[kind], np.zeros((2, 1), np.int64)
        binding = session.io_binding()
        binding.bind_ortvalue_input("new", _value(source))
        binding.bind_ortvalue_input("ring", _value(target))
        binding.bind_ortvalue_output("after", _value(target))
        kept = source, target

        def go(at: int, to: int) -> None:
            assert kept
            places[:, 0] = at, to
            binding.bind_cpu_input("at", places[0])
            binding.bind_cpu_input("to", places[1])
            session.run_with_iobinding(binding)

        return go

    def _run_options(self, number: str) -> Any:
        options = self._runtime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", number)
        return options


def putter(dtype: str, shape: tuple[int, ...], axis: int) -> bytes:
    """An ONNX file: after = ring, but for place `to` of an axis, which is place `at` of new."""
    behind = [1] * (len(shape) - axis - 1)
    nodes = [
        Node("Gather", ["new", "at"], ["one"], {"axis": axis}),
        Node("Equal", ["places", "to"], ["here"]),
        Node("Where", ["here", "one", "ring"], ["after"]),
    ]
    places = np.arange(shape[axis]).reshape(shape[axis], *behind)
    free = [f"n{i}" for i in range(len(shape))]
    ends = {"new": door("new", dtype, free)}
    ends |= {name: door(name, dtype, shape) for name in ("ring", "after")}
    ends |= {name: door(name, "int64", [1]) for name in ("at", "to")}
    inputs = ["new", "ring", "at", "to"]
    graph = Graph("putter", nodes, {"places": places}, inputs, ["after"], ends)
    return write_model(Model(graph, 17, 8))


def _held(buffer: Buffer) -> OrtValueBuffer:
    assert isinstance(buffer, OrtValueBuffer), "a buffer of another device"
    return buffer


def _value(buffer: Buffer) -> Any:
    return _held(buffer).value


class OrtDeviceBackend(DeviceBackend):
    """The graphs of a tick on a GPU, the others on the processor."""

    def __init__(
        self, bundle: Bundle, *, name: str, provider: str, threads: int = 1,
        options: Callable[[str, bool], list[Any]],
    ) -> None:  # fmt: skip
        """`options` gives the providers of a graph, with CUDA graphs or without.

        UsageError where the provider does not load, BundleError for graphs that do not fit.
        """
        if bundle.path is None:
            raise UsageError(f"bundle {bundle.manifest.name} lies in memory: use its own backend")
        self.name = name
        runtime = load_runtime()
        require(runtime, provider, name)
        device = OrtDevice(runtime, "cuda", name, [(CUDA, cuda_options(False)), CPU])
        host: dict[str, Session] = {}
        self._really: list[str] = []
        for graph in graphs_of(bundle):
            if graph in HOT:
                load = partial(load_hot, runtime, bundle, graph, threads, provider, options)
                session = load((True, False))
                device.add(graph, session, partial(load, (False,)))
                self._really = session.get_providers()
            else:
                host[graph] = open_cpu(runtime, bundle, graph, threads)
        super().__init__(bundle, device, host)

    def providers(self) -> list[str]:
        """What really runs the graphs of a tick."""
        return self._really


def require(runtime: Any, provider: str, name: str) -> None:
    """UsageError, with the cure, where the installed wheel does not have a provider at all."""
    if provider not in runtime.get_available_providers():
        raise UsageError(
            f"this onnxruntime has no {provider}: pip uninstall onnxruntime, then install "
            f"perpetuo[{'gpu,tensorrt' if provider == TENSORRT else 'gpu'}]"
        )
    if hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()  # of the nvidia wheels, where they are installed


def load_hot(
    runtime: Any, bundle: Bundle, graph: str, threads: int, provider: str,
    options: Callable[[str, bool], list[Any]], ways: Sequence[bool] = (True, False),
) -> Any:  # fmt: skip
    """A graph on the provider, in the first of the `ways` that loads: with CUDA graphs, without."""
    spec = bundle.manifest.graphs[graph]
    file = spec.variants.get("accelerator", spec.file)
    refuse_outside(bundle, file)
    why = ""
    for graphs in ways:
        try:
            session = runtime.InferenceSession(
                str(bundle.file(file)), session_options(runtime, threads), options(graph, graphs)
            )
        except Exception as error:  # the runtime's own classes have no common base
            why = str(error)
            continue
        if session.get_providers()[0] != provider:
            raise UsageError(
                f"{provider} does not load ({cure(provider)}); its log says what is missing"
            )
        check_graph(file, spec, session)
        return session
    raise BundleError(f"{file} does not load with {provider}: {why:.300}")


def cure(provider: str) -> str:
    """What it needs."""
    if provider == TENSORRT:
        return "it wants TensorRT 10 (pip install 'perpetuo[tensorrt]') beside CUDA and cuDNN 9"
    return "it wants a driver, CUDA and cuDNN 9 of the wheel's major version, CUDA 13 from 1.31 on"


def open_cuda(bundle: Bundle, threads: int) -> OrtDeviceBackend:
    """ONNX Runtime's own CUDA kernels."""

    def options(graph: str, graphs: bool) -> list[Any]:
        return [(CUDA, cuda_options(graphs)), CPU]

    return OrtDeviceBackend(
        bundle, name="ort-cuda", provider=CUDA, threads=threads, options=options
    )
