"""bench.plots: every picture is drawn, and is a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prepared_songs import RATE_HZ, pluck_song

from bench import plots
from bench.continuity import drift, self_similarity
from bench.features import DIMENSION
from bench.frechet import Scale

pytest.importorskip("matplotlib")


def is_picture(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 2_000


def test_a_continuation_beside_the_truth(tmp_path: Path) -> None:
    columns = {"continued": pluck_song(1, 2.0), "as it was": np.zeros(2 * RATE_HZ)}
    plots.continuation(tmp_path / "a.png", "song", pluck_song(0, 2.0), columns, RATE_HZ)
    assert is_picture(tmp_path / "a.png")


def test_a_sheet_of_seven_with_marks(tmp_path: Path) -> None:
    sounds = {str(k): (pluck_song(k, 1.0), 0.5 if k % 2 else None) for k in range(7)}
    plots.sheet(tmp_path / "a.png", sounds, RATE_HZ)
    assert is_picture(tmp_path / "a.png")


def test_an_original_beside_its_copy(tmp_path: Path) -> None:
    sounds = {"original": pluck_song(0, 2.0), "copy": pluck_song(1, 2.0)}
    plots.side_by_side(tmp_path / "a.png", "song", sounds, RATE_HZ)
    assert is_picture(tmp_path / "a.png")


def test_distances_and_drift(tmp_path: Path) -> None:
    plots.distances(tmp_path / "a.png", {"held-out": 18.0, "shuffled": 117.0})
    ruler = Scale(np.zeros(DIMENSION), np.ones(DIMENSION))
    similarity = self_similarity(np.random.default_rng(0).normal(size=(20, DIMENSION)))
    plots.drift(tmp_path / "b.png", drift(pluck_song(0, 40.0), RATE_HZ, ruler), similarity)
    assert is_picture(tmp_path / "a.png")
    assert is_picture(tmp_path / "b.png")
