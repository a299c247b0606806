"""The audio of an engine in its area: a ring for the feed, the marks of its blocks, and the tail.

The ring keeps `engine.ring`'s contract across two processes: each cursor is moved by one of them,
by a store of eight bytes after the audio has been copied (x86-64 keeps stores in order; elsewhere
the interpreter's work between the two is far longer than any store waits).

The tail is what was made last, for the engine after this one to go on from.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

import numpy as np

from engine.playout import Playout, Taken, WatchedRing
from engine.process.house import Area
from engine.ring import AudioRing
from engine.session import Array, Floats
from engine.sinks.feed import MARKS, BlockLike, Mark

TAIL_S = 12.0
_CURSORS, _MARK_FIELDS = 4, 4


@dataclass(frozen=True, slots=True)
class Format:
    """What the places of the audio depend on."""

    sample_rate_hz: int
    channels: int
    capacity_samples: int  # of the ring

    @property
    def tail_samples(self) -> int:
        """The most that the tail holds."""
        return round(TAIL_S * self.sample_rate_hz)


class SharedPlayout(Playout):
    """What the feed knows of its gulps, told to the engine: two places, used in turn."""

    def __init__(self, rate_hz: int, count: Array, places: Array) -> None:
        """int64[1] and float64[2, 3]."""
        self._count = count
        self._places = places
        super().__init__(rate_hz)

    @property
    def _taken(self) -> Taken | None:
        count = int(self._count[0])
        if not count:
            return None
        samples, gulp, phase_s = self._places[count % 2].tolist()
        return Taken(int(samples), int(gulp), phase_s)

    @_taken.setter
    def _taken(self, taken: Taken | None) -> None:
        if taken is not None:
            count = int(self._count[0]) + 1
            self._places[count % 2] = taken.samples, taken.gulp_samples, taken.phase_s
            self._count[0] = count


class SharedRing(WatchedRing):
    """An audio ring whose samples and cursors lie in memory that two processes see."""

    def __init__(
        self, cursors: Array, buffer: Floats, playout: SharedPlayout, rate_hz: int
    ) -> None:
        """Go on with int64[4] and float32[capacity, channels] as they are."""
        self._cursors: Array = np.zeros(_CURSORS, np.int64)
        capacity_samples, channels = buffer.shape
        super().__init__(capacity_samples, channels, rate_hz, monotonic)
        self._cursors = cursors
        self._buffer = buffer
        self.playout = playout

    def take(self, out: Floats, wanted: int) -> None:
        """Fill float32[n, channels], n no more than there are, where so many were `wanted`."""
        if out.shape[0]:
            AudioRing.read_into(self, out)
        self.playout.note(monotonic(), self.read_samples, wanted, out.shape[0])

    @property
    def written_samples(self) -> int:
        """Samples written so far; only the writer moves it."""
        return int(self._cursors[0])

    @written_samples.setter
    def written_samples(self, count: int) -> None:
        self._cursors[0] = count

    @property
    def read_samples(self) -> int:
        """Samples read so far; only the reader moves it."""
        return int(self._cursors[1])

    @read_samples.setter
    def read_samples(self, count: int) -> None:
        self._cursors[1] = count

    @property
    def shortfall_samples(self) -> int:
        """Samples that were missing; the reader counts them."""
        return int(self._cursors[2])

    @shortfall_samples.setter
    def shortfall_samples(self, count: int) -> None:
        self._cursors[2] = count

    @property
    def shortfalls(self) -> int:
        """Times the ring ran dry; the reader counts them."""
        return int(self._cursors[3])

    @shortfalls.setter
    def shortfalls(self, count: int) -> None:
        self._cursors[3] = count


class SharedMarks:
    """A `BlockLog` between two processes: the engine notes, the feed asks."""

    def __init__(self, count: Array, fields: Array) -> None:
        """int64[1] and int64[MARKS, 4]."""
        self._count = count
        self._fields = fields

    def note(self, block: BlockLike) -> None:
        """Take note of a block written to the ring."""
        start, index, revision = block.position_samples, block.index, block.control_revision
        if block.cover:
            last = self.last or Mark(0, -1, 0, True)
            index, revision = last.index, last.revision
        count = int(self._count[0])
        self._fields[count % MARKS] = start, index, revision, block.cover
        self._count[0] = count + 1

    def at(self, sample: int) -> Mark | None:
        """The block that holds this sample of the music; None before the first."""
        count = int(self._count[0])
        for number in range(count - 1, max(-1, count - MARKS), -1):
            if self._fields[number % MARKS, 0] <= sample:
                return self._mark(number)
        return None

    @property
    def last(self) -> Mark | None:
        """The newest block."""
        count = int(self._count[0])
        return self._mark(count - 1) if count else None

    def _mark(self, number: int) -> Mark:
        start, index, revision, cover = map(int, self._fields[number % MARKS])
        return Mark(start, index, revision, bool(cover))


class Tail:
    """The last seconds that were made."""

    def __init__(self, count: Array, buffer: Floats) -> None:
        """int64[1] and float32[samples, channels]."""
        self._count = count
        self._buffer = buffer

    def add(self, audio: Floats) -> None:
        """Go on with float32[samples, channels]."""
        size, count = self._buffer.shape[0], int(self._count[0])
        audio = audio[-size:]
        start = count % size
        head = min(audio.shape[0], size - start)
        self._buffer[start : start + head] = audio[:head]
        self._buffer[: audio.shape[0] - head] = audio[head:]
        self._count[0] = count + audio.shape[0]

    def read(self) -> Floats:
        """A copy of it, float32[samples, channels]."""
        size, count = self._buffer.shape[0], int(self._count[0])
        found = min(size, count)
        copy: Floats = self._buffer[(count - found + np.arange(found)) % size]
        return copy


class Music:
    """Ring, marks and tail of one area, of this format."""

    def __init__(self, area: Area, form: Format) -> None:
        """Look into it; the engine that begins there calls `begin` first."""
        self.area = area
        rows = _rows(form)
        area.memory.grow(area.SIZE + sum(count * _ROW_BYTES[kind] for kind, count in rows))
        memory, place = area.memory.mapped(), area.SIZE
        parts: list[Array] = []
        for kind, count in rows:
            parts.append(np.frombuffer(memory, kind, count, place))
            place += count * _ROW_BYTES[kind]
        self._counts, cursors, marks, gulps, ring, tail = parts
        marked, kept, taken = self._counts[0:1], self._counts[1:2], self._counts[2:3]
        self._cursors = cursors
        self.marks = SharedMarks(marked, marks.reshape(MARKS, -1))
        playout = SharedPlayout(form.sample_rate_hz, taken, gulps.reshape(2, -1))
        channels = form.channels
        self.ring = SharedRing(cursors, ring.reshape(-1, channels), playout, form.sample_rate_hz)
        self.tail = Tail(kept, tail.reshape(-1, channels))

    def begin(self) -> None:
        """Forget what another engine left here."""
        self._counts[:] = 0
        self._cursors[:] = 0


_ROW_BYTES = {"i8": 8, "f8": 8, "f4": 4}


def _rows(form: Format) -> tuple[tuple[str, int], ...]:
    """What lies in an area behind its boards: kinds of numbers, and how many."""
    ring, tail = form.capacity_samples * form.channels, form.tail_samples * form.channels
    words = (("i8", 3), ("i8", _CURSORS), ("i8", MARKS * _MARK_FIELDS), ("f8", 6))
    return (*words, ("f4", ring), ("f4", tail))
