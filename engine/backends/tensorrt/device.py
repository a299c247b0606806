"""TensorRT engines as a device: one stream, a CUDA graph for every bound run."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from engine.backends.device import Buffer
from engine.backends.tensorrt.build import logger_of
from engine.backends.tensorrt.cudart import Cuda, CudaBuffer
from engine.errors import UsageError
from engine.session import Array


class TensorRtDevice:
    """The engines of the graphs of a tick. One thread binds at a time."""

    def __init__(self, trt: Any, cuda: Cuda, plans: Mapping[str, bytes], name: str) -> None:
        """UsageError for a plan that this TensorRT does not take."""
        self.name = name
        self._cuda = cuda
        self._runtime = trt.Runtime(logger_of(trt))
        self._modes = trt.TensorIOMode
        self._engines = {graph: self._engine(graph, plan) for graph, plan in plans.items()}

    def buffer(self, shape: tuple[int, ...], dtype: str) -> CudaBuffer:
        """New memory of the GPU."""
        return CudaBuffer(self._cuda, shape, dtype)

    def bind(
        self, graph: str, feeds: Mapping[str, Buffer], out: Mapping[str, Buffer]
    ) -> Callable[[], None]:
        """A call that launches one CUDA graph."""
        context = self._engines[graph].create_execution_context()
        if context is None:
            raise UsageError(f"the GPU has no memory for {graph}: use --backend ort")
        stream = self._cuda.stream
        self._checked(context.set_optimization_profile_async(0, stream), graph, "its profile")
        for name, buffer in feeds.items():
            self._checked(context.set_input_shape(name, buffer.shape), graph, _said(name, buffer))
        for name, buffer in {**feeds, **out}.items():
            address = _cuda_buffer(buffer).address
            self._checked(context.set_tensor_address(name, address), graph, f"memory for {name}")
        self._check_outputs(graph, context, out)
        self._enqueue(graph, context)  # sets up what a capture may not
        self._cuda.wait()
        return self._captured(graph, context)

    def put(self, source: Buffer, at: int, target: Buffer, to: int, axis: int) -> None:
        """Queue a copy of one place of an axis: rows of memory, a pitch apart in each buffer."""
        width = prod(target.shape[axis + 1 :]) * np.dtype(target.dtype).itemsize
        pitches = [buffer.shape[axis] * width for buffer in (target, source)]
        self._cuda.copy_rows(
            (_cuda_buffer(target).address + to * width, pitches[0]),
            (_cuda_buffer(source).address + at * width, pitches[1]),
            width, prod(target.shape[:axis]),
        )  # fmt: skip

    def wait(self) -> None:
        """For the stream that everything is queued on."""
        self._cuda.wait()

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One run with buffers of its own."""
        engine = self._engines[graph]
        context = engine.create_execution_context()
        held: dict[str, CudaBuffer] = {}
        try:
            for name, array in feeds.items():
                held[name] = self.buffer(array.shape, str(array.dtype))
                held[name].write(array)
                self._checked(context.set_input_shape(name, array.shape), graph, f"shape of {name}")
            outputs = self._made(engine, context)
            for name, array in outputs.items():
                held[name] = self.buffer(array.shape, str(array.dtype))
            for name, buffer in held.items():
                context.set_tensor_address(name, buffer.address)
            self._enqueue(graph, context)
            for name in outputs:
                held[name].fetch()
            self.wait()
            for name, array in outputs.items():
                held[name].land(array)
        finally:
            for buffer in held.values():
                buffer.close()
        return outputs

    def _engine(self, graph: str, plan: bytes) -> Any:
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise UsageError(
                f"TensorRT does not take the engine of {graph}: it is of another version"
            )
        return engine

    def _made(self, engine: Any, context: Any) -> dict[str, Array]:
        """Empty arrays for the outputs, of the shapes that follow from the inputs."""
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        leaving = [name for name in names if engine.get_tensor_mode(name) == self._modes.OUTPUT]
        return {name: np.zeros(tuple(context.get_tensor_shape(name)), np.float32)
                for name in leaving}  # fmt: skip

    def _check_outputs(self, graph: str, context: Any, out: Mapping[str, Buffer]) -> None:
        for name, buffer in out.items():
            made = tuple(context.get_tensor_shape(name))
            if made != buffer.shape:
                raise UsageError(
                    f"{graph} makes {name} of {list(made)}, there is room for {list(buffer.shape)}"
                )

    def _enqueue(self, graph: str, context: Any) -> None:
        self._checked(context.execute_async_v3(self._cuda.stream), graph, "the run")

    def _captured(self, graph: str, context: Any) -> Callable[[], None]:
        cuda, runtime = self._cuda, self._cuda.runtime
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        cuda.call("cudaStreamBeginCapture", cuda.stream, mode)
        try:
            self._enqueue(graph, context)
        finally:
            (made,) = cuda.call("cudaStreamEndCapture", cuda.stream)
        (ready,) = cuda.call("cudaGraphInstantiate", made, 0)
        cuda.call("cudaGraphDestroy", made)

        def launch() -> None:
            assert context is not None  # its memory is the graph's
            cuda.call("cudaGraphLaunch", ready, cuda.stream)

        weakref.finalize(launch, runtime.cudaGraphExecDestroy, ready)
        return launch

    def _checked(self, fine: bool, graph: str, what: str) -> None:
        if not fine:
            raise UsageError(f"TensorRT refuses {what} of {graph}: it was built for other shapes")


def _cuda_buffer(buffer: Buffer) -> CudaBuffer:
    assert isinstance(buffer, CudaBuffer), "a buffer of another device"
    return buffer


def _said(name: str, buffer: Buffer) -> str:
    return f"{name} {list(buffer.shape)}"
