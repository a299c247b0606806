"""A device in numpy, for tests: queued work is done when it is waited for, and not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.session import Session

Work = Callable[[], None]


class QueuedBuffer:
    """An array of the device, and what was fetched of it."""

    def __init__(self, queue: list[Work], shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, dtype
        self.array = np.zeros(shape, dtype)
        self._there = np.full(shape, -1, dtype)
        self._queue = queue

    def write(self, array: np.ndarray) -> None:
        assert array.shape == self.shape
        taken = np.array(array, self.dtype)
        self._queue.append(lambda: np.copyto(self.array, taken))

    def fetch(self) -> None:
        self._queue.append(lambda: np.copyto(self._there, self.array))

    def land(self, out: np.ndarray) -> None:
        out[...] = self._there


class QueuedDevice:
    """Runs sessions on buffers of its own; counts what crosses over."""

    name = "numpy, queued"

    def __init__(self, session: Callable[[str], Session]) -> None:
        self.queue: list[Work] = []
        self.ran: list[str] = []
        self._session = session

    def buffer(self, shape: tuple[int, ...], dtype: str) -> QueuedBuffer:
        return QueuedBuffer(self.queue, shape, dtype)

    def bind(self, graph: str, feeds: Mapping[str, Any], out: Mapping[str, Any]) -> Work:
        session = self._session(graph)

        def work() -> None:
            self.ran.append(graph)
            made = session.run({name: buffer.array for name, buffer in feeds.items()})
            for name, buffer in out.items():
                buffer.array[...] = made[name]

        return lambda: self.queue.append(work)

    def put(self, source: Any, at: int, target: Any, to: int, axis: int) -> None:
        def work() -> None:
            np.moveaxis(target.array, axis, 0)[to] = np.moveaxis(source.array, axis, 0)[at]

        self.queue.append(work)

    def wait(self) -> None:
        for work in self.queue:
            work()
        self.queue.clear()

    def run(self, graph: str, feeds: Mapping[str, Any]) -> dict[str, Any]:
        self.wait()
        return self._session(graph).run(feeds)
