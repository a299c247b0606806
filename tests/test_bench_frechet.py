"""bench.frechet: the distance orders music as a listener would, and its ratio has its anchors."""

from __future__ import annotations

import numpy as np
import pytest
from prepared_songs import RATE_HZ, pluck_song

from bench import frechet
from bench.features import embed_all
from bench.frechet import Scale, frechet_distance


@pytest.fixture(scope="module")
def sides() -> dict[str, np.ndarray]:
    one = [pluck_song(seed, 8.0) for seed in range(10)]
    two = [pluck_song(seed, 8.0) for seed in range(10, 20)]
    mixed = [frechet.shuffled(audio, RATE_HZ, seed) for seed, audio in enumerate(two)]
    noisy = [frechet.white_noise(audio, seed) for seed, audio in enumerate(two)]
    raw = {
        name: np.concatenate(embed_all(songs, RATE_HZ))
        for name, songs in {"one": one, "two": two, "mixed": mixed, "noisy": noisy}.items()
    }
    scale = Scale.of(raw["one"])
    return {name: scale.apply(vectors) for name, vectors in raw.items()}


def test_the_distance_to_itself_is_nothing(sides: dict[str, np.ndarray]) -> None:
    assert frechet_distance(sides["one"], sides["one"]) == pytest.approx(0.0, abs=1e-3)


def test_the_distance_is_symmetric(sides: dict[str, np.ndarray]) -> None:
    there = frechet_distance(sides["one"], sides["two"])
    assert frechet_distance(sides["two"], sides["one"]) == pytest.approx(there, rel=1e-6)


def test_other_songs_are_nearer_than_shuffled_ones_and_those_than_noise(
    sides: dict[str, np.ndarray],
) -> None:
    held, mixed, noisy = (
        frechet_distance(sides[name], sides["one"]) for name in ("two", "mixed", "noisy")
    )
    assert held < 0.7 * mixed
    assert mixed < 0.7 * noisy


def test_the_distance_of_two_gaussians_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(0.0, 1.0, (200_000, 2))
    two = rng.normal(0.0, 1.0, (200_000, 2)) * [2.0, 1.0] + [3.0, 0.0]
    assert frechet_distance(one, two) == pytest.approx(9.0 + 1.0, rel=0.02)


def test_shuffling_keeps_every_sample() -> None:
    audio = pluck_song(1, 2.01)
    mixed = frechet.shuffled(audio, RATE_HZ, seed=0)
    assert not np.array_equal(mixed, audio)
    assert np.array_equal(np.sort(mixed), np.sort(audio))


def test_noise_is_as_loud_and_as_long() -> None:
    audio = pluck_song(1, 2.0)
    noise = frechet.white_noise(audio, seed=0)
    assert len(noise) == len(audio)
    assert noise.std() == pytest.approx(np.sqrt(np.mean(audio**2)), rel=0.05)


def test_the_ratio_of_the_anchors_themselves() -> None:
    found = {frechet.HELD_OUT: 20.0, frechet.CONTINUATION: 40.0, frechet.SHUFFLED: 120.0}
    assert frechet.ratio(found) == 0.2


def cloud(offset: float, seed: int, songs: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(offset, 1.0, (8, 3)) for _ in range(songs)]


def test_a_comparison_has_distances_a_ratio_and_its_error() -> None:
    sides = {
        frechet.HELD_OUT: cloud(0.0, 1),
        frechet.CONTINUATION: cloud(1.0, 2),
        frechet.SHUFFLED: cloud(2.0, 3),
    }
    found = frechet.compare_sides(cloud(0.0, 0), sides)
    assert (found.songs, found.clips, found.enough_songs) == (6, 48, False)
    assert found.distances[frechet.HELD_OUT] < found.distances[frechet.CONTINUATION]
    assert found.ratio == pytest.approx(0.25, abs=0.15)
    assert 0.0 < found.ratio_error < 0.3


def test_sides_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="other counts"):
        frechet.compare_sides(cloud(0.0, 0), {frechet.HELD_OUT: cloud(0.0, 1, songs=5)})
