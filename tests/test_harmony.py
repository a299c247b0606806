from __future__ import annotations

import numpy as np
import pytest

from engine.brief import SCALES, TONICS
from engine.harmony import by_notes, misfit, notes_of

WHITE = (("C", "major"), ("A", "minor"), ("D", "dorian"), ("G", "mixolydian"))
"""The keys on the white notes."""


def place(tonic: str, scale: str) -> int:
    return len(SCALES) * TONICS.index(tonic) + SCALES.index(scale)


@pytest.mark.parametrize(("tonic", "scale"), WHITE)
def test_the_white_keys_are_the_notes_of_four_scales(tonic: str, scale: str) -> None:
    assert notes_of(TONICS.index(tonic), scale) == 0
    assert notes_of((TONICS.index(tonic) + 3) % 12, scale) == 3


def test_modes_of_the_same_notes_count_as_one() -> None:
    keys = np.zeros((1, 48), np.float32)
    keys[0, [place(*key) for key in WHITE]] = np.log([1.0, 2.0, 3.0, 6.0])
    np.testing.assert_allclose(np.exp(by_notes(keys))[0], [3.0, *np.ones(11)], rtol=1e-6)


def test_what_fits_is_all_alike_and_what_does_not_is_held_back_by_how_rare_it_is() -> None:
    ratios = np.ones((4, 12), np.float32)
    ratios[:, 0] = 8.0, 1.5, 0.5, 0.1  # in the notes of C major, against in all music
    expected = np.log([1.0, 1.0, 0.5, 0.1])
    for tonic, scale in WHITE:
        found = misfit(np.log(ratios), TONICS.index(tonic), SCALES.index(scale))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_tonic_or_a_scale_alone_leaves_the_rest_open() -> None:
    rng = np.random.default_rng(0)
    ratios = rng.uniform(0.1, 2.0, (5, 12)).astype(np.float32)
    any_scale = ratios[:, [notes_of(2, scale) for scale in SCALES]].mean(1)
    np.testing.assert_allclose(
        misfit(np.log(ratios), 2, None), np.minimum(np.log(any_scale), 0), atol=1e-5
    )
    any_tonic = np.minimum(np.log(ratios.mean(1)), 0)
    np.testing.assert_allclose(misfit(np.log(ratios), None, 1), any_tonic, atol=1e-5)
