"""Velocity networks beside each other: what is called right, and the page."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

from bench.spectra import Array
from bench.velocities import DRAWN, PIECES, compared, draw, page

RATE_HZ = 8000
MAJOR = (0, 2, 4, 5, 7, 9, 11)


def played(tonic: int, seed: int) -> Array:
    """Eight seconds of a major scale, four notes a second, over a little noise."""
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    notes = np.array(MAJOR)[(t * 4).astype(int) % len(MAJOR)] + tonic
    tone = np.sin(2 * np.pi * 220 * 2 ** (notes / 12) * t) * np.exp(-6 * (t * 4 % 1))
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return np.asarray((tone + 0.01 * noise)[:, None])


def test_notes_and_tempo_are_right_where_they_are_those_of_the_piece() -> None:
    pieces = [played(0, 1), played(5, 2)]
    sides = {PIECES: pieces, "alike": [played(0, 3), played(5, 4)],
             "elsewhere": [played(6, 5), played(11, 6)],
             "half": [played(0, 7), played(11, 8)]}  # fmt: skip
    found = compared(pieces, [played(2, 9), played(7, 10)], sides, RATE_HZ)
    assert [found[name]["notes"] for name in sides] == [1.0, 1.0, 0.0, 0.5]
    assert [found[name]["tempo"] for name in (PIECES, "alike")] == [1.0, 1.0]
    assert found["elsewhere"]["chroma"] < found["half"]["chroma"] < found["alike"]["chroma"]
    assert found["alike"]["chroma"] > 0.99
    assert all(np.isfinite(one["distance"]) for one in found.values())


def test_the_page_names_every_network_and_says_what_was_too_few() -> None:
    figures = {"distance": 40.0, "notes": 0.5, "chroma": 0.7, "tempo": 0.75}
    report = {
        "revision": "abc", "split": "valid", "songs": 24, "passes": 10, "seconds": 240.0,
        "runs": {"w": {"run": "w", "context": "window", "steps": 2200, "minutes": 60.0,
                       "took_s": 120.0}},
        "sides": {PIECES: figures, "w": figures},
    }  # fmt: skip
    text = page(report)
    assert "| w | window | 2200 | 60 | 40 | 0.5 | 0.7 | 0.75 | 0.5 |" in text
    assert f"| {PIECES} | - | - | - | 40 | 0.5 | 0.7 | 0.75 | - |" in text
    assert "Too few" not in text and "Too few" in page(report | {"songs": 6})


def test_runs_are_drawn_against_their_minutes(tmp_path: Path) -> None:
    sides = {PIECES: dict.fromkeys(DRAWN, 0.5)}
    sides |= {f"run-{k}": dict.fromkeys(DRAWN, 1.0 / k) for k in (1, 2, 4)}
    runs = {f"run-{k}": {"minutes": 10.0 * k} for k in (1, 2, 4)}
    draw(tmp_path / "velocities.png", {"runs": runs, "sides": sides})
    picture = matplotlib.image.imread(tmp_path / "velocities.png")
    assert picture.shape[1] > 3 * picture.shape[0] and np.ptp(picture) > 0.5
