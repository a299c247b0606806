"""What may leave the engine as music, and what may not."""

from __future__ import annotations

import math

import numpy as np

from engine.session import Floats

KNEE = 0.9
"""Level from which peaks are rounded off, so that nothing leaves [−1, 1]."""

MOST_LEVEL = 2.5
"""Peak, before rounding, above which a block is broken: +8 dB over full scale."""

MOST_DC = 0.2
"""Mean of a block, in any channel, above which it is broken."""


def round_off(audio: Floats) -> float:
    """Bring float32[samples, channels] into (−1, 1) in place; return its peak before that.

    Samples under the knee stay as they are; the rest follow a tanh. The peak of audio that holds
    NaN is NaN.
    """
    if not audio.size:
        return 0.0
    peak = float(np.maximum(audio.max(), -audio.min()))  # of NaN and anything, NaN
    if peak > KNEE:
        loud = np.abs(audio) > KNEE
        over = np.abs(audio[loud]) - KNEE
        audio[loud] = np.copysign(KNEE + (1.0 - KNEE) * np.tanh(over / (1.0 - KNEE)), audio[loud])
    return peak


def within(audio: Floats) -> None:
    """Round off, in place, where two pieces of music that lie over each other leave [−1, 1]."""
    if audio.size and np.abs(audio).max() > 1.0:
        round_off(audio)


def fault(audio: Floats, peak: float, latents: Floats) -> str | None:
    """Why a block must not be played: `not_finite`, `over_level`, `dc`; None for music.

    audio float32[samples, channels], rounded off; peak from `round_off`; latents float32[frames,
    dim] it was decoded from, which would spoil all that follows.
    """
    if not math.isfinite(peak) or not np.isfinite(latents).all():
        return "not_finite"
    if peak > MOST_LEVEL:
        return "over_level"
    if audio.shape[0] and float(np.abs(audio.mean(axis=0)).max()) > MOST_DC:
        return "dc"
    return None
