"""What the feed takes its music from: the ring of the engine that is heard, without a gap.

Where a ring runs dry the music that was heard last is kept going (`engine.cover`) until there is
more. Where another engine takes over, what its predecessor left, or the cover, is crossfaded into
the new music. Samples of the music are counted on over all engines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from engine.cover import Cover
from engine.guard import within
from engine.process.music import SharedRing
from engine.session import Floats
from engine.sinks.feed import Blocks, Mark

CROSS_S = 0.5
"""Length of the crossfade into music that takes over."""

AHEAD_S = 0.25
"""Music that must be there before it takes over."""


class Source(Protocol):
    """What one engine makes; `engine.process.music.Music` is one."""

    @property
    def ring(self) -> SharedRing:
        """Read by the intake alone."""
        ...

    @property
    def marks(self) -> Blocks:
        """Which block lies where in the ring."""
        ...


class Intake:
    """Read by the feed like the ring and the block log of one engine."""

    def __init__(self, newest: Callable[[], Source], sample_rate_hz: int) -> None:
        """`newest` gives the source that is to be heard now, the same one until it is another."""
        source = newest()
        self.channels = source.ring.channels
        self.capacity_samples = source.ring.capacity_samples
        self.shortfalls = 0
        self.shortfall_samples = 0
        self._source = source
        self._newest = newest
        self._before = 0  # samples of the music of earlier engines
        self._cover = Cover(sample_rate_hz, self.channels)
        self._ahead = round(AHEAD_S * sample_rate_hz)
        self._cross = round(CROSS_S * sample_rate_hz)
        turn = np.linspace(0.0, np.pi / 2, self._cross, endpoint=False)
        self._rise = np.sin(turn).astype(np.float32)[:, None]
        self._fall = np.cos(turn).astype(np.float32)[:, None]
        self._leaving: Floats = np.zeros((0, self.channels), np.float32)
        self.dry = False
        """The last read came short, and the music of before is kept going."""
        self._seen = 0  # samples that waited at the last look

    # ---- as a ring --------------------------------------------------------------------------

    @property
    def read_samples(self) -> int:
        """Samples of the music that were read."""
        return self._before + self._source.ring.read_samples

    @property
    def written_samples(self) -> int:
        """Samples of the music that were made."""
        return self._before + self._source.ring.written_samples

    @property
    def fill_samples(self) -> int:
        """Samples that wait to be read."""
        return self._source.ring.fill_samples

    def read_into(self, out: Floats) -> int:
        """Fill float32[n, channels]; how many of its samples are newly made music."""
        self._follow(out.shape[0])
        found = 0 if self.dry else min(out.shape[0], self.fill_samples)
        self._read(out[:found], out.shape[0])
        if found < out.shape[0]:
            self._fill(out[found:])
        return found

    def _read(self, out: Floats, wanted: int) -> None:
        self._source.ring.take(out, wanted)
        if not out.shape[0]:
            return
        count = min(out.shape[0], self._leaving.shape[0])
        if count:
            part = slice(self._cross - self._leaving.shape[0], None)
            out[:count] *= self._rise[part][:count]
            out[:count] += self._leaving[:count] * self._fall[part][:count]
            within(out[:count])
            self._leaving = self._leaving[count:]
        self._cover.remember(out)

    def _fill(self, out: Floats) -> None:
        """Keep going what was heard last; silence before the first music."""
        if self._cover.empty:
            out.fill(0.0)
            return
        self.shortfalls += not self.dry
        self.shortfall_samples += out.shape[0]
        self.dry = True
        self._leaving = self._leaving[:0]
        out[:] = self._cover.next(out.shape[0])
        within(out)

    # ---- from one engine to the next ----------------------------------------------------------

    def _follow(self, wanted: int) -> None:
        newest = self._newest()
        if newest is self._source and not self.dry:
            return
        if self._is_ready(newest.ring.fill_samples, wanted):
            if newest is self._source:
                self._leave(None)
                return
            self._leave(self._source.ring)
            self._before = self.read_samples - newest.ring.read_samples
            self._source = newest

    def _is_ready(self, fill: int, wanted: int) -> bool:
        """There is enough to take over; less will do where no more comes before it is taken."""
        seen, self._seen = self._seen, fill
        return fill >= self._ahead or (fill >= wanted and fill == seen)

    def _leave(self, ring: SharedRing | None) -> None:
        """Prepare the crossfade, from what `ring` still holds and then from cover audio."""
        held = 0 if ring is None or self.dry else min(ring.fill_samples, self._cross)
        leaving = np.zeros((self._cross, self.channels), np.float32)
        if ring is not None and held:
            ring.read_into(leaving[:held])
            self._cover.remember(leaving[:held])
        if not self._cover.empty:
            leaving[held:] = self._cover.next(self._cross - held)
            self._cover.rejoin(leaving[:0])  # what comes next is no cover any more
        self._leaving, self.dry, self._seen = leaving, False, 0

    # ---- as a block log -----------------------------------------------------------------------

    def at(self, sample: int) -> Mark | None:
        """The block that holds this sample of the music; None before the first."""
        return self._counted(self._source.marks.at(sample - self._before))

    @property
    def last(self) -> Mark | None:
        """The newest block."""
        return self._counted(self._source.marks.last)

    def _counted(self, mark: Mark | None) -> Mark | None:
        return None if mark is None else replace(mark, start=mark.start + self._before)
