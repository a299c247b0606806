from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.sinks.trim import Trim

RATE = 24000


def tone(samples: int) -> np.ndarray:
    phase = 2 * np.pi * 440 * np.arange(samples) / RATE
    return np.stack([np.sin(phase), np.cos(phase)], axis=1).astype(np.float32)


def test_without_a_change_it_only_delays_by_a_sample() -> None:
    trim, audio = Trim(RATE, 2, 0.15), tone(7200)
    out = np.concatenate([trim.stretch(audio[at : at + 2400], 2400) for at in (0, 2400, 4800)])
    np.testing.assert_array_equal(out[1:], audio[:-1])


@given(changes=st.lists(st.sampled_from([-2, 0, 2]), min_size=2, max_size=12))
def test_stretched_packets_join_without_a_seam(changes: list[int]) -> None:
    trim, audio = Trim(RATE, 2, 0.15), tone(2400 * len(changes))
    pieces = np.split(audio, len(changes))
    out = np.concatenate(
        [trim.stretch(piece, 2400 + by) for piece, by in zip(pieces, changes, strict=True)]
    )
    assert out.shape[0] == 2400 * len(changes) + sum(changes)
    steepest = np.abs(np.diff(audio, axis=0)).max()
    assert np.abs(np.diff(out[4:], axis=0)).max() < 1.01 * steepest
    level = np.hypot(out[4:, 0], out[4:, 1])
    assert np.abs(level - 1).max() < 1e-3


def test_a_drifting_clock_is_followed() -> None:
    """A device that plays 200 ppm too fast empties the buffer by 2.9 s in 4 hours."""
    trim, fill = Trim(RATE, 1, 0.15), 3600.0
    for _ in range(4 * 3600 * 10 // 20):
        fill += trim.count(2400, round(fill)) - 2400 * 1.0002
        assert abs(fill - 3600) < 0.035 * RATE
