"""Listeners that note when each packet came, and what is in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed

from engine.wire.packets import Flag, PacketHeader, decode_packet
from tests.serving import listening

CLICK = 0.2
"""No step between two samples of the stand-in's sine is so high."""


@dataclass
class Ear:
    """What a listener heard, without what was sent again to a late joiner."""

    connection: Any
    headers: list[PacketHeader] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    steepest: float = 0.0
    texts: list[str] = field(default_factory=list)
    _last: Any = None

    def hear(self, message: bytes | str) -> None:
        """Note one message."""
        if isinstance(message, str):
            self.texts.append(message)
            return
        header, audio = decode_packet(message)
        if header.flags & Flag.REPLAY:
            return
        if self._last is not None:
            joined = np.concatenate([self._last, audio])
            self.steepest = max(self.steepest, float(np.abs(np.diff(joined, axis=0)).max()))
        self._last = audio[-1:]
        self.headers.append(header)
        self.came_s.append(monotonic())
        self.peaks.append(float(np.abs(audio).max()))

    @property
    def state(self) -> dict[str, Any]:
        """What the server said last of its state."""
        told = next((text for text in reversed(self.texts) if '"state"' in text), "{}")
        return dict(json.loads(told))

    @property
    def unbroken(self) -> bool:
        """One epoch, no packet missing, none twice."""
        sequences = [header.sequence for header in self.headers]
        epochs = {header.epoch for header in self.headers}
        return len(epochs) == 1 and set(np.diff(sequences)) <= {1}

    @property
    def musical(self) -> bool:
        """Never silent, no click, nothing that is not a number."""
        return min(self.peaks) > 1e-3 and self.steepest < CLICK

    def gaps(self) -> str:
        """Between two packets, for the table."""
        gaps_ms = 1000 * np.diff(self.came_s)
        return (
            f"gaps of {len(gaps_ms)} packets p99 {np.percentile(gaps_ms, 99):.0f}, "
            f"max {gaps_ms.max():.0f} ms"
        )

    async def more(self, packets: int) -> None:
        """Listen on for so many packets."""
        wanted = len(self.headers) + packets
        await self.until(lambda: len(self.headers) >= wanted)

    async def until(self, found: Any, within_s: float = 120.0) -> float:
        """Wait until that is so; how long it took, in s."""
        began_s = monotonic()
        while not found():
            assert monotonic() - began_s < within_s, "that never happened"
            await asyncio.sleep(0.01)
        return monotonic() - began_s


@asynccontextmanager
async def ear(url: str) -> AsyncIterator[Ear]:
    """A listener of its own."""
    async with listening(url, max_queue=None) as connection:
        one = Ear(connection)

        async def listen() -> None:
            with suppress(ConnectionClosed):
                async for message in connection:
                    one.hear(message)

        task = asyncio.create_task(listen())
        try:
            await one.more(5)
            yield one
        finally:
            task.cancel()


def memory_mb(pid: int) -> float:
    """What a process holds."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
