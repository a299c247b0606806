"""Timing on a device whose work is queued: what a call costs the host, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch

Work = Callable[[], object]


@dataclass
class Clock:
    """Wall clock around waited-for work, and how much time is left for all of it."""

    where: torch.device
    until_s: float = float("inf")  # of perf_counter
    started_s: float = field(default_factory=perf_counter)

    @property
    def gpu(self) -> bool:
        """Is there something to wait for?"""
        return self.where.type == "cuda"

    @property
    def left_s(self) -> float:
        """Until the time for everything is over."""
        return self.until_s - perf_counter()

    def wait(self) -> None:
        """Until the device is done."""
        if self.gpu:
            torch.cuda.synchronize(self.where)

    def seconds(self, work: Work, times: int, *, patience_s: float = 60.0) -> list[float]:
        """What `work` takes until it is done, so many times, or as often as patience lasts."""
        work()
        self.wait()
        began_s, found = perf_counter(), []
        for _ in range(times):
            start_s = perf_counter()
            work()
            self.wait()
            found.append(perf_counter() - start_s)
            if perf_counter() - began_s > min(patience_s, max(self.left_s, 0.0)):
                break
        return found

    def queued_s(self, work: Work, times: int) -> list[float]:
        """What `work` costs the host that queues it, with the device idle before each."""
        found = []
        for _ in range(times):
            self.wait()
            start_s = perf_counter()
            work()
            found.append(perf_counter() - start_s)
        self.wait()
        return found

    def per_call_s(self, work: Work, calls: int, *, rounds: int = 5) -> float:
        """Device time of one of many calls in a row, the best of some rounds."""
        work()
        best_s = float("inf")
        for _ in range(rounds):
            self.wait()
            start_s = perf_counter()
            for _ in range(calls):
                work()
            self.wait()
            best_s = min(best_s, (perf_counter() - start_s) / calls)
        return best_s


def captured(work: Work, where: torch.device) -> Work:
    """The work as one CUDA graph where there is a GPU, as it is where there is none."""
    if where.type != "cuda":
        return work
    from engine.backends.torch.device import captured as graph_of

    return graph_of(work)  # type: ignore[arg-type]


def described(where: torch.device) -> dict[str, Any]:
    """The device and what drives it."""
    found: dict[str, Any] = {"device": "the processor", "torch": torch.__version__}
    if where.type == "cuda":
        about = torch.cuda.get_device_properties(where)
        found |= {
            "device": about.name, "memory_gb": about.total_memory / 1e9,
            "capability": f"{about.major}.{about.minor}", "cuda": torch.version.cuda,
        }  # fmt: skip
    return found
