"""torch as a device: buffers are tensors, bound runs are CUDA graphs where there is a GPU."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from engine.backends.device import Buffer, graphs_of
from engine.backends.onnx_half import fold, in_half
from engine.backends.onnx_model import read_model
from engine.backends.torch.program import Program, Weights, refuse_unknown
from engine.bundle import Bundle
from engine.errors import UsageError
from engine.session import Array
from engine.tensors import GraphSpec

HALVES = ("velocity",)
"""Graphs whose products may run in half precision; the phases of a decoder may not."""
Key = tuple[tuple[str, tuple[int, ...]], ...]
PROGRAMS = 24
"""Of one graph, kept; the least recently used is forgotten."""
WARM_RUNS = 3
"""Before a capture: libraries set themselves up, and what they allocate is no part of it."""


class TorchBuffer:
    """A tensor, and pinned memory beside it where it lies on a GPU."""

    def __init__(self, shape: tuple[int, ...], dtype: str, device: torch.device) -> None:
        self.shape, self.dtype = shape, dtype
        kind = getattr(torch, dtype)
        self.tensor = torch.zeros(shape, dtype=kind, device=device)
        gpu = device.type == "cuda"
        self._in = torch.zeros(shape, dtype=kind, pin_memory=True) if gpu else self.tensor
        self._out = torch.zeros(shape, dtype=kind, pin_memory=True) if gpu else self.tensor
        self._read = torch.cuda.Event() if gpu else None  # type: ignore[no-untyped-call]

    def write(self, array: Array) -> None:
        """Queue a copy; the pinned memory is written again only when the last copy has read it."""
        if self._read is None:
            self.tensor.numpy()[...] = array
            return
        self._read.synchronize()
        self._in.numpy()[...] = array
        self.tensor.copy_(self._in, non_blocking=True)
        self._read.record()

    def fetch(self) -> None:
        """Queue a copy to pinned memory."""
        if self._out is not self.tensor:
            self._out.copy_(self.tensor, non_blocking=True)

    def land(self, out: Array) -> None:
        """What `fetch` brought."""
        out[...] = self._out.numpy()


class TorchDevice:
    """The graphs of a bundle in torch."""

    def __init__(self, bundle: Bundle, device: str, *, half: bool = False) -> None:
        self.where = torch.device(device)
        gpu = self.where.type == "cuda"
        self.name = torch.cuda.get_device_name(self.where) if gpu else "torch on the CPU"
        if gpu:
            torch.backends.cudnn.allow_tf32 = False  # float32 is float32, as packed
        self._lock = threading.Lock()
        self.graphs = {
            name: TorchGraph(
                bundle, bundle.manifest.graphs[name], self.where, half and name in HALVES
            )
            for name in graphs_of(bundle)
        }

    def buffer(self, shape: tuple[int, ...], dtype: str) -> TorchBuffer:
        """New memory of the device."""
        try:
            return TorchBuffer(shape, dtype, self.where)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(error) from None

    def bind(
        self, graph: str, feeds: Mapping[str, Buffer], out: Mapping[str, Buffer]
    ) -> Callable[[], None]:
        """A call that queues a run: one CUDA graph on a GPU, torch's operators on a CPU."""
        entering, leaving = _tensors(feeds), _tensors(out)
        with self._lock:
            program = self.graphs[graph].program(entering)

            def work() -> None:
                made = program.run(entering)
                for name, tensor in leaving.items():
                    tensor.copy_(made[name])

            return captured(work) if self.where.type == "cuda" else inferring(work)

    def put(self, source: Buffer, at: int, target: Buffer, to: int, axis: int) -> None:
        """Queue a copy of one place of an axis."""
        tensors = _tensors({"source": source, "target": target})
        tensors["target"].select(axis, to).copy_(tensors["source"].select(axis, at))

    def wait(self) -> None:
        """For the stream that everything is queued on."""
        if self.where.type == "cuda":
            torch.cuda.current_stream(self.where).synchronize()

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One run, operator by operator."""
        given = {name: torch.from_numpy(array).to(self.where) for name, array in feeds.items()}
        with self._lock:
            program = self.graphs[graph].program(given)
        return {name: tensor.cpu().numpy().copy() for name, tensor in program.run(given).items()}


class TorchGraph:
    """One graph and the programs made of it so far."""

    def __init__(self, bundle: Bundle, spec: GraphSpec, where: torch.device, half: bool) -> None:
        model = read_model(bundle.file(spec.file))
        refuse_unknown(spec.file, model)
        self.model = in_half(model) if half else fold(model)
        self.weights = Weights(self.model, where)
        self._programs: OrderedDict[Key, Program] = OrderedDict()

    def program(self, feeds: Mapping[str, Tensor]) -> Program:
        """The one for these shapes, made where there is none yet."""
        key = tuple(sorted((name, tuple(tensor.shape)) for name, tensor in feeds.items()))
        if key not in self._programs:
            self._programs[key] = Program(self.model, self.weights, feeds)
            if len(self._programs) > PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]


def inferring(work: Callable[[], None]) -> Callable[[], None]:
    """The same work without gradients."""

    def run() -> None:
        with torch.inference_mode():
            work()

    return run


def captured(work: Callable[[], None]) -> Callable[[], None]:
    """The work as one CUDA graph, on the buffers it names; UsageError where memory runs out."""
    try:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.inference_mode():
            for _ in range(WARM_RUNS):
                work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.graph(graph, capture_error_mode="thread_local"),
            torch.inference_mode(),
        ):
            work()
    except torch.OutOfMemoryError as error:
        raise out_of_memory(error) from None
    return graph.replay


def out_of_memory(error: Exception) -> UsageError:
    """In one line, with torch's figures."""
    return UsageError(
        f"the GPU is out of memory ({str(error)[:120]}): end what else runs there, or use "
        "--backend ort"
    )


def _tensors(buffers: Mapping[str, Buffer]) -> dict[str, Tensor]:
    found = {}
    for name, buffer in buffers.items():
        assert isinstance(buffer, TorchBuffer), "a buffer of another device"
        found[name] = buffer.tensor
    return found
