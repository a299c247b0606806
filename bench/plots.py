"""Pictures of what was measured. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.continuity import WINDOW_S, Drift
from bench.features import CLIP_S
from bench.music import ONSET_RATE_HZ, PITCH_CLASSES, chroma, onset_strength
from bench.spectra import HOP_SAMPLES, Array, mel_power, mono

RANGE_DB = 80.0


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _mel_image(axes: Any, audio: Array, rate_hz: int, top_db: float) -> None:
    level = 10.0 * np.log10(mel_power(audio, rate_hz) + 1e-12).T
    extent = (0.0, level.shape[1] * HOP_SAMPLES / rate_hz, 0, level.shape[0])
    limits = {"vmin": top_db - RANGE_DB, "vmax": top_db}
    axes.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="magma", **limits)
    axes.set_ylabel("mel band")


def _chroma_image(axes: Any, audio: Array, rate_hz: int) -> None:
    frames = chroma(audio, rate_hz)
    shares = frames / np.maximum(frames.max(axis=1, keepdims=True), 1e-12)
    extent = (0.0, len(audio) / rate_hz, -0.5, 11.5)
    axes.imshow(shares.T, origin="lower", aspect="auto", extent=extent, cmap="viridis")
    axes.set_yticks(range(12), PITCH_CLASSES, fontsize=7)


def _onset_line(axes: Any, audio: Array, rate_hz: int) -> None:
    strength = np.maximum(0.0, onset_strength(audio, rate_hz))
    axes.plot(np.arange(len(strength)) / ONSET_RATE_HZ, strength, linewidth=0.7)
    axes.set_xlim(0.0, len(audio) / rate_hz)
    axes.set_ylabel("onset, dB")
    axes.set_xlabel("s")


def continuation(
    path: Path,
    title: str,
    prompt: npt.ArrayLike,
    columns: Mapping[str, npt.ArrayLike],
    rate_hz: int,
) -> None:
    """Mel spectrogram, chroma and onsets of prompt + each column, the seam marked in all."""
    head = mono(prompt)
    figure, grid = _figure(3, len(columns), (7.0 * len(columns), 8.0))
    top_db = _top_db(head, rate_hz)
    for place, (name, tail) in enumerate(columns.items()):
        audio = np.concatenate([head, mono(tail)])
        column = [row[place] for row in grid]
        _heard(column, f"{title}: {name}", audio, rate_hz, top_db, len(head) / rate_hz)
    figure.savefig(path, dpi=80)


def sheet(
    path: Path, sounds: Mapping[str, tuple[npt.ArrayLike, float | None]], rate_hz: int
) -> None:
    """The same three of each sound, at most five beside each other, each at a level of its own.

    Where there is a second, a mark stands there.
    """
    wide = min(5, len(sounds))
    rows = -(-len(sounds) // wide)
    figure, grid = _figure(3 * rows, wide, (6.0 * wide, 5.2 * rows))
    for axes in grid.flat:
        axes.set_visible(False)
    for place, (name, (sound, mark_s)) in enumerate(sounds.items()):
        row, column = divmod(place, wide)
        audio = mono(sound)
        three = [grid[3 * row + k][column] for k in range(3)]
        _heard(three, name, audio, rate_hz, _top_db(audio, rate_hz), mark_s)
    figure.savefig(path, dpi=60)


def _top_db(audio: Array, rate_hz: int) -> float:
    return float(10.0 * np.log10(float(mel_power(audio, rate_hz).max()) + 1e-12))


def _heard(
    column: Sequence[Any], title: str, audio: Array, rate_hz: int, top_db: float,
    mark_s: float | None,
) -> None:  # fmt: skip
    """Mel spectrogram, chroma and onsets of a sound, one above the other."""
    _mel_image(column[0], audio, rate_hz, top_db)
    _chroma_image(column[1], audio, rate_hz)
    _onset_line(column[2], audio, rate_hz)
    column[0].set_title(title, fontsize=10)
    for axes, mark in zip(column, ("white", "white", "black"), strict=True):
        axes.set_visible(True)
        if mark_s is not None:
            axes.axvline(mark_s, color=mark, linestyle="--")


def side_by_side(path: Path, title: str, sounds: Mapping[str, npt.ArrayLike], rate_hz: int) -> None:
    """Mel spectrograms on one scale, that of the first."""
    figure, grid = _figure(1, len(sounds), (6.0 * len(sounds), 3.5))
    top_db = None
    for axes, (name, sound) in zip(grid[0], sounds.items(), strict=True):
        audio = mono(sound)
        if top_db is None:
            top_db = _top_db(audio, rate_hz)
        _mel_image(axes, audio, rate_hz, top_db)
        axes.set_title(f"{title}: {name}", fontsize=10)
    figure.savefig(path, dpi=80)


def distances(path: Path, sides: Mapping[str, float]) -> None:
    """Fréchet distance of each side to the held-out reference, on a logarithmic scale."""
    figure, grid = _figure(1, 1, (7.0, 3.0))
    axes = grid[0][0]
    bars = axes.barh(list(sides), list(sides.values()))
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_xscale("log")
    axes.set_xlim(right=3.0 * max(sides.values()))
    axes.set_xlabel("Fréchet distance to held-out music")
    axes.invert_yaxis()
    figure.savefig(path, dpi=80)


def against_minutes(
    path: Path, minutes: Sequence[float], figures: Mapping[str, tuple[Sequence[float], float]]
) -> None:
    """Figures of one run against the minutes of its training, each beside what music has."""
    figure, grid = _figure(1, len(figures), (5.0 * len(figures), 3.5))
    order = np.argsort(minutes)
    for axes, (name, (values, music)) in zip(grid[0], figures.items(), strict=True):
        axes.plot(np.asarray(minutes)[order], np.asarray(values)[order], marker="o")
        axes.axhline(music, linestyle="--", color="grey")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("minutes of training")
    figure.savefig(path, dpi=80)


def drift(path: Path, found: Drift, similarity: Array) -> None:
    """Loudness, centroid and oddness over time, and the self-similarity of the clips."""
    figure, grid = _figure(2, 2, (11.0, 7.0))
    windows_s = (np.arange(len(found.loudness_db)) + 0.5) * WINDOW_S
    grid[0][0].plot(windows_s, found.loudness_db)
    grid[0][0].axhspan(-3.0, 3.0, alpha=0.15)
    grid[0][0].set_title("loudness, dB re the first stretch")
    grid[0][1].plot(windows_s, found.centroid_hz)
    grid[0][1].set_title("spectral centroid, Hz")
    stretches_s = (np.arange(len(found.oddness)) + 0.5) * found.stretch_s
    grid[1][0].plot(stretches_s, found.oddness, marker="o", label="oddness (held-out: about 1)")
    grid[1][0].plot(stretches_s, found.variety, marker="o", label="variety re the first stretch")
    grid[1][0].legend(fontsize=8)
    extent = (0.0, len(similarity) * CLIP_S, 0.0, len(similarity) * CLIP_S)
    limits = {"vmin": -1.0, "vmax": 1.0}
    grid[1][1].imshow(similarity, origin="lower", extent=extent, cmap="RdBu_r", **limits)
    grid[1][1].set_title("self-similarity of 2 s clips")
    for axes in grid.flat:
        axes.set_xlabel("s")
    figure.savefig(path, dpi=80)
