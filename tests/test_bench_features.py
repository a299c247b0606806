"""bench.features: the vector of a clip."""

from __future__ import annotations

import numpy as np
from prepared_songs import RATE_HZ, pluck_song

from bench import features


def test_the_vector_has_its_dimension_and_is_deterministic() -> None:
    clip = pluck_song(3, 2.0)
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
