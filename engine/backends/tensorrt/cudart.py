"""CUDA's runtime as far as an engine needs it, every return code checked.

cuda-python's functions return (code, result, …). `Cuda` calls them, raises what is no success with
CUDA's own name for it, and hands back the results. A run may go wrong after it was queued; that
shows at the next call, so nothing is taken for done before `wait`.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

import numpy as np

from engine.errors import UsageError
from engine.session import Array

OUT_OF_MEMORY = "cudaErrorMemoryAllocation"


def load_cudart() -> Any:
    """cuda-python's runtime, by its present or its former name; UsageError if there is none."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime
        except ImportError as error:
            raise UsageError(
                f"cuda-python cannot be loaded ({error}): install perpetuo[tensorrt]"
            ) from None
    return runtime


class Cuda:
    """The runtime and one stream on which everything is queued."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        (self.stream,) = self.call("cudaStreamCreate")

    def call(self, name: str, *given: Any) -> tuple[Any, ...]:
        """The results of a function of the runtime; UsageError with CUDA's name for a failure."""
        code, *results = getattr(self.runtime, name)(*given)
        if int(code) == 0:
            return tuple(results)
        said = getattr(code, "name", str(code))
        if said == OUT_OF_MEMORY:
            raise UsageError(
                f"the GPU is out of memory ({name}): end what else runs there, or use --backend ort"
            )
        raise UsageError(f"{name} failed with {said}: the GPU or its driver is not usable")

    def wait(self) -> None:
        """Until everything queued is done."""
        self.call("cudaStreamSynchronize", self.stream)

    def copy(self, target: int, source: int, size: int, kind: str) -> None:
        """Queue a copy of so many bytes; `kind` is HostToDevice, DeviceToHost or DeviceToDevice."""
        way = getattr(self.runtime.cudaMemcpyKind, f"cudaMemcpy{kind}")
        self.call("cudaMemcpyAsync", target, source, size, way, self.stream)

    def copy_rows(
        self, target: tuple[int, int], source: tuple[int, int], width: int, rows: int
    ) -> None:
        """Queue a copy on the GPU of rows of bytes; both sides as address and pitch."""
        way = self.runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self.call("cudaMemcpy2DAsync", *target, *source, width, rows, way, self.stream)


class CudaBuffer:
    """Memory of the GPU, and pinned memory of the host beside it for each direction."""

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, dtype
        self.bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        self._held: list[tuple[str, Any]] = []
        self._cuda = cuda
        self.address = self._take("cudaMalloc", "cudaFree")
        self._in, self._out = (self._pinned() for _ in range(2))
        self._pending = False
        cuda.call("cudaMemsetAsync", self.address, 0, self.bytes, cuda.stream)

    def write(self, array: Array) -> None:
        """Queue a copy; the pinned memory is written again only when the last copy has read it."""
        if self._pending:
            self._cuda.wait()
        self._in[...] = array
        self._cuda.copy(self.address, self._in.ctypes.data, self.bytes, "HostToDevice")
        self._pending = True

    def fetch(self) -> None:
        """Queue a copy to pinned memory."""
        self._cuda.copy(self._out.ctypes.data, self.address, self.bytes, "DeviceToHost")

    def land(self, out: Array) -> None:
        """What `fetch` brought, after a wait: nothing is queued any more."""
        self._pending = False
        out[...] = self._out

    def close(self) -> None:
        """Give all memory back."""
        while self._held:
            release, address = self._held.pop()
            self._cuda.call(release, address)

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the program there may be no CUDA left
            self.close()

    def _take(self, name: str, release: str) -> int:
        (address,) = self._cuda.call(name, max(self.bytes, 1))
        self._held.append((release, address))
        return int(address)

    def _pinned(self) -> Array:
        """Pinned memory as an array of this shape."""
        address = self._take("cudaMallocHost", "cudaFreeHost")
        raw = (ctypes.c_byte * max(self.bytes, 1)).from_address(address)
        count = int(np.prod(self.shape, dtype=np.int64))
        array: Array = np.frombuffer(memoryview(raw), np.dtype(self.dtype), count)
        return array.reshape(self.shape)
