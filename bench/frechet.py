"""The Fréchet distance between two sets of clips, beside its anchors.

The distance is biased upwards by few clips, so every side of a comparison has as many clips of as
many songs. A figure means something only between its anchors, taken in the same run: other
held-out songs below, the same songs in shuffled pieces of 50 ms and white noise above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.spectra import Array, mono

HELD_OUT, CONTINUATION, SHUFFLED = "held-out", "continuation", "shuffled 50 ms"
LEAST_SONGS = 20


@dataclass(frozen=True)
class Scale:
    """Mean and spread of the held-out reference: every side is measured with the same ruler."""

    mean: Array
    spread: Array

    @classmethod
    def of(cls, reference: Array) -> Scale:
        """From the reference's vectors `[clips, dimension]`."""
        return cls(reference.mean(axis=0), np.maximum(reference.std(axis=0), 1e-6))

    def apply(self, vectors: Array) -> Array:
        """Standardise `[clips, dimension]`."""
        return np.asarray((vectors - self.mean) / self.spread)


def frechet_distance(one: Array, other: Array) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2·(Σ₁Σ₂)^½) of two sets of vectors `[clips, dimension]`.

    Dowson and Landau 1982. The trace of the root is taken from the eigenvalues of the symmetric
    Σ₁^½·Σ₂·Σ₁^½, which stays real where a covariance is singular. Biased upwards by few clips:
    compare only distances of equal counts.
    """
    gap = one.mean(axis=0) - other.mean(axis=0)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    values, axes = np.linalg.eigh(first)
    root = (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
    cross = np.linalg.eigvalsh(root @ second @ root)
    shared = float(np.sqrt(np.maximum(cross, 0.0)).sum())
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2.0 * shared)


def shuffled(audio: npt.ArrayLike, rate_hz: int, seed: int, piece_s: float = 0.05) -> Array:
    """The same samples in pieces of 50 ms, put in random order: sound kept, music lost."""
    samples = mono(audio)
    size = round(piece_s * rate_hz)
    pieces = samples[: len(samples) // size * size].reshape(-1, size)
    order = np.random.default_rng(seed).permutation(len(pieces))
    return np.concatenate([pieces[order].ravel(), samples[len(pieces) * size :]])


def white_noise(audio: npt.ArrayLike, seed: int) -> Array:
    """Gaussian white noise as long and as loud as `audio`."""
    samples = mono(audio)
    loudness = float(np.sqrt(np.mean(samples**2)))
    return np.random.default_rng(seed).normal(0.0, max(loudness, 1e-9), len(samples))


@dataclass(frozen=True)
class Comparison:
    """Distances of all sides to the held-out reference.

    `ratio` is (continuation - held-out) / (shuffled - held-out): 0 is as good as other music of
    the corpus, 1 no better than its pieces in random order. `ratio_error` is its standard error,
    by leaving out one song at a time (jackknife). `enough_songs` says whether the figure may be
    quoted.
    """

    songs: int
    clips: int
    distances: dict[str, float]
    ratio: float
    ratio_error: float
    enough_songs: bool


def compare_sides(reference: Sequence[Array], sides: Mapping[str, Sequence[Array]]) -> Comparison:
    """Measure every side, each a list of songs `[clips, dimension]`, in the reference's ruler.

    Raises ValueError where the sides do not all have the reference's number of songs and clips.
    """
    shape = [len(song) for song in reference]
    for name, songs in sides.items():
        if [len(song) for song in songs] != shape:
            raise ValueError(f"{name} has other counts of songs and clips than the reference")
    found = distances(reference, sides)
    leave_one_out = np.array([ratio(_without(reference, sides, i)) for i in range(len(shape))])
    spread = float(np.sqrt((len(shape) - 1) * leave_one_out.var()))
    enough = len(shape) >= LEAST_SONGS
    return Comparison(len(shape), sum(shape), found, ratio(found), spread, enough)


def distances(reference: Sequence[Array], sides: Mapping[str, Sequence[Array]]) -> dict[str, float]:
    """Fréchet distance of each side to the reference, all standardised by the reference."""
    held = np.concatenate(reference)
    scale = Scale.of(held)
    ruler = scale.apply(held)
    return {
        name: frechet_distance(scale.apply(np.concatenate(songs)), ruler)
        for name, songs in sides.items()
    }


def ratio(found: Mapping[str, float]) -> float:
    """Where the continuation lies between held-out music (0) and shuffled music (1)."""
    span = found[SHUFFLED] - found[HELD_OUT]
    return (found[CONTINUATION] - found[HELD_OUT]) / span if span else float("nan")


def _without(
    reference: Sequence[Array], sides: Mapping[str, Sequence[Array]], index: int
) -> dict[str, float]:
    def rest(songs: Sequence[Array]) -> list[Array]:
        return [*songs[:index], *songs[index + 1 :]]

    needed = (HELD_OUT, CONTINUATION, SHUFFLED)
    return distances(rest(reference), {name: rest(sides[name]) for name in needed})
