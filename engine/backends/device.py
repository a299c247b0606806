"""What the engine asks of a machine beside the processor, and sessions made of it.

A *device* has memory of its own and works in order, on one stream: writes, runs and copies are
queued and happen one after the other. Nothing that comes back is looked at before `wait`, which
waits for the stream that makes it. ONNX Runtime's CUDA, TensorRT and torch are devices; so is the
numpy one of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from engine.bundle import Bundle
from engine.session import Array


def graphs_of(bundle: Bundle) -> list[str]:
    """Those a device has a use for: all but `descend`, which reads rings that lie elsewhere."""
    return [name for name in bundle.manifest.graphs if name != "descend"]


class Buffer(Protocol):
    """Contiguous memory of the device, of one shape and type, zero at first."""

    shape: tuple[int, ...]
    dtype: str

    def write(self, array: Array) -> None:
        """Queue a copy of an array of this shape and type; the array may change afterwards."""
        ...

    def fetch(self) -> None:
        """Queue a copy to where `land` finds it."""
        ...

    def land(self, out: Array) -> None:
        """What `fetch` brought, after `wait`."""
        ...


class Device(Protocol):
    """A machine that has the graphs of one bundle loaded."""

    name: str

    def buffer(self, shape: tuple[int, ...], dtype: str) -> Buffer:
        """New memory; UsageError where there is none left."""
        ...

    def bind(
        self, graph: str, feeds: Mapping[str, Buffer], out: Mapping[str, Buffer]
    ) -> Callable[[], None]:
        """A call that queues a run of a graph from these buffers into those."""
        ...

    def put(self, source: Buffer, at: int, target: Buffer, to: int, axis: int) -> None:
        """Queue a copy of one place of an axis; the other axes of both are alike."""
        ...

    def wait(self) -> None:
        """Until everything queued is done; what went wrong meanwhile is raised here."""
        ...

    def run(self, graph: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One run with arrays of any shape, outputs as new arrays."""
        ...


class DeviceSession:
    """The contract of `engine.session` on a device: arrays go there and come back."""

    def __init__(self, device: Device, graph: str) -> None:
        self._device = device
        self._graph = graph

    def run(
        self, feeds: Mapping[str, Array], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """All outputs by name; those named in `out` are written there and returned."""
        outputs = self._device.run(self._graph, feeds)
        for name, array in (out or {}).items():
            array[...] = outputs[name]
            outputs[name] = array
        return outputs

    def bind(self, feeds: Mapping[str, Array], out: Mapping[str, Array]) -> Callable[[], None]:
        """A call that brings `feeds` there, runs the graph and brings back `out`."""
        device = self._device
        entering = [(buffer_like(device, array), array, name) for name, array in feeds.items()]
        leaving = [(buffer_like(device, array), array, name) for name, array in out.items()]
        go = device.bind(
            self._graph,
            {name: buffer for buffer, _, name in entering},
            {name: buffer for buffer, _, name in leaving},
        )

        def bound() -> None:
            for buffer, array, _ in entering:
                buffer.write(array)
            go()
            for buffer, _, _ in leaving:
                buffer.fetch()
            device.wait()
            for buffer, array, _ in leaving:
                buffer.land(array)

        return bound


def buffer_like(device: Device, array: Array) -> Buffer:
    """Memory for an array."""
    return device.buffer(array.shape, str(array.dtype))
