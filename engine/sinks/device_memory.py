"""What the engine and the process of the sound device share: a ring of audio, hands, life signs.

The memory has no name in the system (multiprocessing's heap maps a deleted file), so nothing is
left behind however the processes end. Each number has one writer. No barrier stands between audio
and cursors: the two sides are kept a cushion of many milliseconds apart.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from engine.controls import ControlSnapshot
from engine.ring import AudioRing
from engine.session import Floats
from engine.sinks.device_process import SPAWN

HANDS = ("gain_db", "mute", "fade", "panic")
SILENCING = ("mute", "fade", "panic")
"""Those that may act twice on the same audio."""


class Head(ctypes.Structure):
    """The numbers, all 0 in the beginning."""

    # by the engine
    written_samples: int
    leaving: int  # 1: fade out and end
    gain_db: float
    mute: float
    fade: float
    panic: float
    # by the device's process
    read_samples: int
    shortfall_samples: int
    shortfalls: int
    flowing: int  # 0 while the cushion fills
    callbacks: int
    underflows: int
    longest_s: float  # of a callback's audio
    heard_s: float  # monotonic: the last callback, or the last attempt to open the device
    latency_s: float

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("written_samples", "leaving")),
        *((name, ctypes.c_double) for name in HANDS),
        *(
            (name, ctypes.c_int64)
            for name in ("read_samples", "shortfall_samples", "shortfalls", "flowing",
                         "callbacks", "underflows")
        ),
        *((name, ctypes.c_double) for name in ("longest_s", "heard_s", "latency_s")),
    )  # fmt: skip


class Memory:
    """The shared memory; it travels to the child as an argument of its process."""

    def __init__(self, capacity_samples: int, channels: int) -> None:
        self.capacity_samples = capacity_samples
        self.channels = channels
        self.head: Any = SPAWN.RawValue(Head)
        self._audio = SPAWN.RawArray(ctypes.c_float, capacity_samples * channels)

    @property
    def samples(self) -> Floats:
        """The ring's buffer, float32[capacity, channels]."""
        flat: Floats = np.ctypeslib.as_array(self._audio)
        return flat.reshape(self.capacity_samples, self.channels)

    def show(self, controls: ControlSnapshot, names: Sequence[str] = HANDS) -> None:
        """Let the child see these hands."""
        for name in names:
            setattr(self.head, name, controls.value(name, 0.0))


def _shared(name: str) -> Any:
    """A number of the head, in the place of an attribute of the ring."""
    return property(
        lambda ring: getattr(ring.head, name), lambda ring, value: setattr(ring.head, name, value)
    )


class SharedRing(AudioRing):
    """One end of the ring. What is heard first is faded in, for it may be amid the music."""

    written_samples: Any = _shared("written_samples")
    read_samples: Any = _shared("read_samples")
    shortfall_samples: Any = _shared("shortfall_samples")
    shortfalls: Any = _shared("shortfalls")

    def __init__(self, memory: Memory) -> None:
        self.head: Any = Head()  # the base class begins with zeros; the memory is in use
        super().__init__(memory.capacity_samples, memory.channels)
        self.head, self._buffer = memory.head, memory.samples
        self._risen = 0


class CushionedRing(SharedRing):
    """The reader's end: in the beginning, and after it ran dry, it finds nothing until there are
    `cushion_s` of audio, or as much as the device's longest callback takes.
    """

    def __init__(self, memory: Memory, sample_rate_hz: int, cushion_s: float) -> None:
        super().__init__(memory)
        self._rate_hz = sample_rate_hz
        self._cushion_s = cushion_s

    @property
    def fill_samples(self) -> int:
        """Samples that may be read now."""
        fill = super().fill_samples
        if not self.head.flowing:
            cushion = max(self._cushion_s, self.head.longest_s) * self._rate_hz
            self.head.flowing = fill >= min(cushion, self.capacity_samples // 2)
        return fill if self.head.flowing else 0

    def read_into(self, out: Floats) -> int:
        """As `AudioRing.read_into`."""
        found = super().read_into(out)
        if found < out.shape[0]:
            self.head.flowing = 0
        return found


class SharedHands(Mapping[str, float]):
    """The hands as the engine has set them last; a child that is leaving panics, which is quick."""

    def __init__(self, memory: Memory) -> None:
        self._head = memory.head

    def __getitem__(self, name: str) -> float:
        if name not in HANDS:
            raise KeyError(name)
        if name == "panic" and self._head.leaving:
            return 1.0
        return float(getattr(self._head, name))

    def __iter__(self) -> Iterator[str]:
        return iter(HANDS)

    def __len__(self) -> int:
        return len(HANDS)
