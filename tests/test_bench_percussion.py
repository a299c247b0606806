"""bench.percussion: what is struck high up counts as drums, what is held or low does not."""

from __future__ import annotations

import numpy as np
from known_songs import RATE_HZ, known_song

from bench.percussion import DRUMS_SHARE, drums_heard, percussive_share


def test_noise_on_every_beat_is_drums_and_held_tones_are_not() -> None:
    assert drums_heard(known_song("jazz", 0, 4.0), RATE_HZ)
    assert not drums_heard(known_song("ambient", 0, 4.0), RATE_HZ)


def test_a_held_high_tone_is_not_struck() -> None:
    tone = np.sin(2 * np.pi * 7000 * np.arange(4 * RATE_HZ) / RATE_HZ)
    assert percussive_share(tone, RATE_HZ) < DRUMS_SHARE


def test_loudness_and_rate_do_not_matter_and_silence_has_none() -> None:
    audio = known_song("jazz", 1, 4.0)
    share = percussive_share(audio, RATE_HZ)
    assert abs(percussive_share(0.1 * audio, RATE_HZ) / share - 1) < 0.01
    assert percussive_share(np.zeros(4 * RATE_HZ), RATE_HZ) == 0.0
    assert drums_heard(np.stack([audio, audio], axis=1), RATE_HZ)
