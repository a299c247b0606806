"""bench.features: the vector of a clip."""

from __future__ import annotations

import numpy as np

from bench import features

RATE_HZ = 24_000


def song(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Plucked notes of a random scale on a steady pulse."""
    rng = np.random.default_rng(seed)
    step = round(RATE_HZ * 60 / rng.uniform(90, 140) / 2)
    audio = np.zeros(round(seconds * RATE_HZ))
    at_s = np.arange(step) / RATE_HZ
    for start in range(0, len(audio) - step, step):
        hz = 220 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        partials = sum(np.sin(2 * np.pi * hz * k * at_s) / k for k in (1, 2, 3, 4))
        audio[start : start + step] = 0.2 * partials * np.exp(-8 * at_s)
    return audio


def test_the_vector_has_its_dimension_and_is_deterministic() -> None:
    clip = song(3, 2.0)
    vector = features.embed(clip, RATE_HZ)
    assert vector.shape == (features.DIMENSION,)
    assert np.isfinite(vector).all()
    assert np.array_equal(vector, features.embed(clip, RATE_HZ))


def test_silence_has_a_finite_vector() -> None:
    assert np.isfinite(features.embed(np.zeros(2 * RATE_HZ), RATE_HZ)).all()


def test_clips_drop_what_is_left_over() -> None:
    assert [len(clip) for clip in features.clips(np.zeros(5 * RATE_HZ), RATE_HZ)] == [48_000] * 2


def test_a_transposition_leaves_the_chroma_part_alone() -> None:
    at_s = np.arange(2 * RATE_HZ) / RATE_HZ
    one, two = (
        features.chroma_part(
            sum(np.sin(2 * np.pi * hz * turn * at_s) for hz in (220, 277.2, 330)), RATE_HZ
        )
        for turn in (1.0, 2 ** (3 / 12))
    )
    assert np.abs(one - two).max() < 0.1
