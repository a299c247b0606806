from __future__ import annotations

import numpy as np
import pytest

from engine.brief import SCALES, TONICS
from engine.harmony import CLEAR, MOST, Compass, by_notes, misfit, notes_of

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


def notes(**sure: float) -> np.ndarray:
    """Three tokens: one of the notes of C, one of those of G, one of both."""
    told = np.full((3, 12), -1.0, np.float32)
    told[0, 0], told[1, 7] = sure["own"], sure["other"]
    told[2, [0, 7]] = 1.0
    return told


def test_music_that_could_be_of_other_notes_is_told_apart_by_what_differs() -> None:
    compass = Compass(notes(own=1.0, other=2.0))
    course = compass.course(0, np.array([2, 2, 2, 1]))  # more of G than of C
    np.testing.assert_allclose(course, np.clip([2.0, -3.0, 0.0], -MOST, MOST))
    half = Compass(notes(own=CLEAR / 2, other=2.0)).course(0, np.array([0, 2]))
    own, other = (CLEAR / 2 + 1.0) / 2, 0.0
    left = 1.0 - (own - other) / CLEAR
    np.testing.assert_allclose(half, left * np.clip([CLEAR / 2 + 1.0, -3.0, 0.0], -MOST, MOST),
                               rtol=1e-5)  # fmt: skip


def test_what_is_clear_is_left_alone_and_nothing_played_is_not_clear() -> None:
    compass = Compass(notes(own=CLEAR + 0.5, other=2.0))
    np.testing.assert_array_equal(compass.course(0, np.array([0, 0])), 0.0)
    assert compass.course(0, np.zeros(0, np.int64)).any()


def test_what_is_never_played_in_a_key_counts_as_hardly_ever() -> None:
    told = np.zeros((2, 12), np.float32)
    told[1, 0] = -100.0
    course = Compass(told).course(0, np.array([1]))
    np.testing.assert_allclose(course, [0.0, -3.0])
