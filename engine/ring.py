"""The audio ring between the one thread that makes audio and the one that plays it.

Contract: one interleaved buffer, one pair of cursors, one writer, one reader, no lock. A write
takes a whole block or nothing. A read always fills what it was given: where the ring runs dry
the last sample is faded out, the rest is silence, and what was missing is counted; when audio
comes back it is faded in. Each cursor is a count of samples that only its own thread advances,
after the audio has been copied.

Before the first sample is read there is nothing to miss: such reads are silence and are not
counted.
"""

from __future__ import annotations

import numpy as np

from engine.errors import UsageError
from engine.session import Floats

FADE_SAMPLES = 128
"""Length of the fades around a shortfall: 5 ms at 24 kHz."""


class AudioRing:
    """float32[samples, channels], single producer, single consumer."""

    def __init__(self, capacity_samples: int, channels: int) -> None:
        if capacity_samples < 1 or channels < 1:
            raise UsageError(f"a ring of {capacity_samples} samples × {channels} channels")
        self.capacity_samples = capacity_samples
        self.channels = channels
        self.written_samples = 0
        self.read_samples = 0
        self.shortfall_samples = 0
        self.shortfalls = 0  # in a row counts once
        self._buffer = np.zeros((capacity_samples, channels), np.float32)
        half_turn = np.linspace(0.0, np.pi, FADE_SAMPLES, endpoint=False)
        self._rise = (0.5 - 0.5 * np.cos(half_turn)).astype(np.float32)[:, None]
        self._fall = np.ascontiguousarray(1.0 - self._rise)
        self._last = np.zeros(channels, np.float32)
        self._fallen = FADE_SAMPLES  # samples of the fade-out already played
        self._risen = FADE_SAMPLES  # samples of the fade-in already played
        self._tail = np.zeros((FADE_SAMPLES, channels), np.float32)  # of a fade-out cut short

    @property
    def fill_samples(self) -> int:
        """Samples written and not yet read."""
        return self.written_samples - self.read_samples

    @property
    def dry(self) -> bool:
        """True if the last read came short, or there was none that did not."""
        return self._fallen > 0

    def write(self, block: Floats) -> bool:
        """Append a block float32[n, channels], or return False if it does not fit whole."""
        count = block.shape[0]
        if block.shape[1] != self.channels or count > self.capacity_samples:
            raise UsageError(
                f"a block of {count} samples × {block.shape[1]} channels into a ring of "
                f"{self.capacity_samples} × {self.channels}"
            )
        if count > self.capacity_samples - self.fill_samples:
            return False
        start = self.written_samples % self.capacity_samples
        head = min(count, self.capacity_samples - start)
        self._buffer[start : start + head] = block[:head]
        self._buffer[: count - head] = block[head:]
        self.written_samples += count
        return True

    def read_into(self, out: Floats) -> int:
        """Fill float32[n, channels] and return how many of its samples were there to read."""
        wanted = int(out.shape[0])
        found: int = min(wanted, self.fill_samples)
        if found:
            self._copy(out, found)
        if found < wanted:
            self._count(wanted - found)
            self._fade_out(out, found)
        return found

    def _count(self, missing: int) -> None:
        if self.read_samples:
            self.shortfall_samples += missing
            self.shortfalls += self._risen > 0  # a new one, not the last one going on

    def _copy(self, out: Floats, count: int) -> None:
        start = self.read_samples % self.capacity_samples
        head = min(count, self.capacity_samples - start)
        out[:head] = self._buffer[start : start + head]
        out[head:count] = self._buffer[: count - head]
        if self._risen < FADE_SAMPLES:
            self._fade_in(out[:count])
        self._last[:] = out[count - 1]
        self._fallen = 0
        self.read_samples += count

    def _fade_in(self, out: Floats) -> None:
        """Fade in, over what is left of the fade-out where audio came back before its end."""
        if self._risen == 0:
            left = FADE_SAMPLES - self._fallen
            np.multiply(self._fall[self._fallen :], self._last, out=self._tail[:left])
            self._tail[left:] = 0.0
        length = min(out.shape[0], FADE_SAMPLES - self._risen)
        part = slice(self._risen, self._risen + length)
        out[:length] *= self._rise[part]
        out[:length] += self._tail[part]
        self._risen += length

    def _fade_out(self, out: Floats, start: int) -> None:
        length = min(out.shape[0] - start, FADE_SAMPLES - self._fallen)
        fall = self._fall[self._fallen : self._fallen + length]
        np.multiply(fall, self._last, out=out[start : start + length])
        out[start + length :] = 0.0
        self._fallen += length
        self._risen = 0
