"""Keeps one ring filled from another, at the same rate or at the device's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.ring import AudioRing
from engine.session import Floats

BLOCK_S = 0.01
AHEAD_S = 0.06
"""Audio kept in the second ring: what the one thread may be late by, and ideas are later by."""


class Pump:
    """Moves blocks. A source that has run dry is read all the same once the other ring is about
    to: it fades out and counts, as if it were played directly.
    """

    def __init__(
        self, source: AudioRing, target: AudioRing, rate_hz: int, new_rate_hz: int | None = None
    ) -> None:
        """The target has `new_rate_hz`, where that differs from the source's."""
        self._source = source
        self._target = target
        self._rate_hz = new_rate_hz or rate_hz
        self._block = np.zeros((round(BLOCK_S * rate_hz), source.channels), np.float32)
        self._convert = _converter(rate_hz, self._rate_hz, source.channels)

    def step(self, longest_s: float = 0.0) -> bool:
        """Move one block if it is wanted and there is audio; False if there is time to rest.

        Where the device's callbacks take much at once, two of them are kept ahead.
        """
        ahead = round(max(AHEAD_S, 2 * longest_s) * self._rate_hz)
        ahead = min(ahead, self._target.capacity_samples // 2)
        fill = self._target.written_samples - self._target.read_samples
        dry = self._source.fill_samples < self._block.shape[0]
        if fill >= ahead or (dry and fill >= ahead // 2) or not self._source.written_samples:
            return False
        self._source.read_into(self._block)
        self._target.write(self._convert(self._block))
        return True


def _converter(rate_hz: int, new_rate_hz: int, channels: int) -> Callable[[Floats], Floats]:
    """From one rate to the other, as a stream."""
    if rate_hz == new_rate_hz:
        return lambda block: block
    import soxr

    convert: Callable[[Floats], Floats] = soxr.ResampleStream(
        rate_hz, new_rate_hz, channels
    ).resample_chunk
    return convert
