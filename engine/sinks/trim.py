"""Follows a clock that drifts: audio a little longer or shorter, without a seam."""

from __future__ import annotations

import numpy as np

from engine.session import Floats

MOST = 0.001
"""A change of speed by 0.1 % is 1.7 cents: nobody hears it."""

DEAD_BAND_S = 0.03


class Trim:
    """Stretches one stream of packets; a packet comes out one sample late."""

    def __init__(self, sample_rate_hz: int, channels: int, target_s: float) -> None:
        self._target = target_s * sample_rate_hz
        self._dead_band = DEAD_BAND_S * sample_rate_hz
        self._tail = np.zeros((3, channels), np.float32)

    def count(self, samples: int, fill_samples: int) -> int:
        """How long a packet of so many samples should become: longer where the buffer runs low.

        `fill_samples` is what the device has in hand before this packet.
        """
        surplus = fill_samples - self._target
        if abs(surplus) <= self._dead_band:
            return samples
        return samples - int(np.sign(surplus)) * round(MOST * samples)

    def stretch(self, audio: Floats, count: int) -> Floats:
        """The packet in `count` samples, by cubic Hermite interpolation (Catmull-Rom)."""
        length = audio.shape[0]
        known = np.concatenate([self._tail, audio])
        self._tail = known[length:]
        if count == length:
            return known[2 : length + 2]
        place = np.arange(1, count + 1) * (length / count)
        whole = np.minimum(place.astype(np.int64), length - 1)
        part = (place - whole).astype(np.float32)[:, None]
        a, b, c, d = (known[whole + offset] for offset in range(4))
        slope = (c - a) / 2
        bend = a - 2.5 * b + 2 * c - d / 2
        twist = (d - a) / 2 + 1.5 * (b - c)
        stretched: Floats = ((twist * part + bend) * part + slope) * part + b
        return stretched
