"""Does the music go on? Its seam, its key and tempo across the seam, its drift over minutes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.features import CLIP_S, clips, embed
from bench.frechet import Scale
from bench.music import (
    ONSET_RATE_HZ,
    chroma,
    key_of,
    key_score,
    onset_flux,
    same_tempo,
    scale_tonic,
    tempo_bpm,
)
from bench.spectra import Array, level_db, mono

LEVEL_WINDOW_PLACES = 5
SLACK_PLACES = 3
AWAY_PLACES = 20
SILENCE_DB = -60.0
WINDOW_S = 10.0


@dataclass(frozen=True)
class Seam:
    """Where the join stands among all other places of the same audio: percentiles, 0…100.

    A join like any other place is anywhere, 50 on average; 100 stands out most. `energy` is the
    change of level over 50 ms, `flux` the attack, `click` the sharpest bend of the waveform.
    """

    energy: float
    flux: float
    click: float


def seam(before: npt.ArrayLike, after: npt.ArrayLike, rate_hz: int) -> Seam:
    """Compare the join of `before` and `after` with every 10 ms place at least 0.2 s away."""
    head = mono(before)
    joined = np.concatenate([head, mono(after)])
    place = round(len(head) * ONSET_RATE_HZ / rate_hz)
    measures = _measures(joined, rate_hz)
    return Seam(*(_percentile(_widest(values), place) for values in measures))


def chunk_joins(audio: npt.ArrayLike, chunk_samples: int, rate_hz: int) -> Seam:
    """Mean percentiles of the joins between chunks: 50 where they cannot be told from the rest."""
    samples = mono(audio)
    joins = range(chunk_samples, len(samples) - chunk_samples, chunk_samples)
    places = [round(join * ONSET_RATE_HZ / rate_hz) for join in joins]
    means = [
        float(np.mean([_percentile(_widest(values), place) for place in places]))
        for values in _measures(samples, rate_hz)
    ]
    return Seam(*means)


def _measures(joined: Array, rate_hz: int) -> tuple[Array, Array, Array]:
    bends = _hops(np.abs(np.diff(joined, 2, prepend=[0.0, 0.0])), rate_hz).max(axis=1)
    flux = onset_flux(joined, rate_hz).mean(axis=1)
    return _level_changes(_hops(joined, rate_hz)), flux, bends


def _hops(samples: Array, rate_hz: int) -> Array:
    hop = rate_hz // ONSET_RATE_HZ
    return samples[: len(samples) // hop * hop].reshape(-1, hop)


def _level_changes(hops: Array) -> Array:
    """|dB| between the 50 ms after and before each place; 0 where one of them is missing."""
    power = (hops**2).mean(axis=1)
    means = np.convolve(power, np.ones(LEVEL_WINDOW_PLACES) / LEVEL_WINDOW_PLACES, "valid")
    before, after = means[:-LEVEL_WINDOW_PLACES], means[LEVEL_WINDOW_PLACES:]
    change = np.abs(10.0 * np.log10((after + 1e-10) / (before + 1e-10)))
    return np.pad(change, (LEVEL_WINDOW_PLACES, len(hops) - len(change) - LEVEL_WINDOW_PLACES))


def _widest(values: Array) -> Array:
    """The greatest within ±30 ms, so that a seam is not missed by a frame."""
    padded = np.pad(values, SLACK_PLACES)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * SLACK_PLACES + 1)
    return np.asarray(windows.max(axis=1))


def _percentile(values: Array, place: int) -> float:
    near = slice(max(0, place - AWAY_PLACES), place + AWAY_PLACES + 1)
    others = np.delete(values, near)
    below = np.mean(others < values[place]) + np.mean(others <= values[place])
    return float(50.0 * below)


@dataclass(frozen=True)
class Kept:
    """What stayed the same across a seam.

    `key_same`: the seven notes of the major scale that holds most of the sound are the same ones
    (a change of mode over the same notes keeps them). `key_score`: MIREX's score between the
    keys by Krumhansl's profiles. `tempo_same`: within 4 %, an octave allowed.
    """

    key_before: str
    key_after: str
    key_same: bool
    key_score: float
    chroma_correlation: float
    tempo_before_bpm: float
    tempo_after_bpm: float
    tempo_same: bool


@dataclass(frozen=True)
class Signature:
    """Mean chroma `[12]` and tempo of a stretch of audio."""

    chroma: Array
    tempo_bpm: float

    @classmethod
    def of(cls, audio: npt.ArrayLike, rate_hz: int) -> Signature:
        """Heard in at least a few seconds of audio."""
        return cls(chroma(audio, rate_hz).mean(axis=0), tempo_bpm(audio, rate_hz))


def kept(before: Signature, after: Signature) -> Kept:
    """Compare the music before and after a seam."""
    keys = key_of(before.chroma), key_of(after.chroma)
    correlation = float(np.corrcoef(before.chroma + 1e-12, after.chroma + 1e-12)[0, 1])
    return Kept(
        keys[0].name,
        keys[1].name,
        scale_tonic(before.chroma) == scale_tonic(after.chroma),
        key_score(keys[1], keys[0]),
        float(np.nan_to_num(correlation)),
        before.tempo_bpm,
        after.tempo_bpm,
        same_tempo(after.tempo_bpm, before.tempo_bpm),
    )


@dataclass(frozen=True)
class Drift:
    """A long stream, window by window.

    `loudness_db` is each 10 s re the reference stretch (the first minute, or the first quarter of
    a stream under four minutes); `worst_stretch_off_db` how far the stretch furthest from it is.
    `oddness` is the median squared standardised feature of each stretch, where held-out music
    scores `1` by construction of the ruler; `variety` the spread of its clips re the first
    stretch; `repeat` how much the most similar pair of clips, 10 s or more apart, resemble (-1…1).
    """

    stretch_s: float
    loudness_db: list[float]
    centroid_hz: list[float]
    worst_stretch_off_db: float
    last_stretch_db: float
    longest_silence_s: float
    bad_samples: int
    oddness: list[float]
    variety: list[float]
    repeat: float


def drift(audio: npt.ArrayLike, rate_hz: int, scale: Scale) -> Drift:
    """Measure a stream of at least 40 s. Samples that are not finite are counted and zeroed."""
    raw = mono(audio)
    samples = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
    stretch_s = min(60.0, len(samples) / rate_hz / 4)
    stretches = clips(samples, rate_hz, stretch_s)
    levels = [level_db(stretch) for stretch in stretches]
    windows = clips(samples, rate_hz, WINDOW_S)
    vectors = [_vectors(stretch, rate_hz, scale) for stretch in stretches]
    spreads = [float(part.var(axis=0).sum()) for part in vectors]
    return Drift(
        stretch_s,
        [level_db(window) - levels[0] for window in windows],
        [centroid_hz(window, rate_hz) for window in windows],
        max(abs(level - levels[0]) for level in levels[1:]),
        levels[-1] - levels[0],
        longest_silence_s(samples, rate_hz),
        int(len(raw) - np.isfinite(raw).sum()),
        [oddness(part) for part in vectors],
        [spread / max(spreads[0], 1e-9) for spread in spreads],
        closest_repeat(self_similarity(np.concatenate(vectors))),
    )


def _vectors(samples: Array, rate_hz: int, scale: Scale) -> Array:
    return scale.apply(np.array([embed(clip, rate_hz) for clip in clips(samples, rate_hz)]))


def oddness(vectors: Array) -> float:
    """Median over clips of the mean squared standardised feature: about 1 for held-out music."""
    return float(np.median((vectors**2).mean(axis=1)))


def centroid_hz(samples: Array, rate_hz: int) -> float:
    """Centre of the magnitude spectrum, 0 for silence."""
    magnitude = np.abs(np.fft.rfft(samples))
    bins_hz = np.fft.rfftfreq(len(samples), 1.0 / rate_hz)
    return float(magnitude @ bins_hz / max(float(magnitude.sum()), 1e-12))


def longest_silence_s(samples: Array, rate_hz: int) -> float:
    """The longest run of 10 ms hops under -60 dB re full scale."""
    quiet = (_hops(samples, rate_hz) ** 2).mean(axis=1) < 10 ** (SILENCE_DB / 10)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return float(runs.max(initial=0)) / ONSET_RATE_HZ


def self_similarity(vectors: Array) -> Array:
    """Cosine similarity `[clips, clips]` of standardised clip vectors, their mean removed."""
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    return np.asarray(unit @ unit.T)


def closest_repeat(similarity: Array) -> float:
    """Median over clips of the best match among the clips at least 10 s away; 1 is a loop."""
    places = np.arange(len(similarity)) * CLIP_S
    far = np.abs(places[:, None] - places[None, :]) >= WINDOW_S
    best = np.where(far, similarity, -1.0).max(axis=1)
    return float(np.median(best))
