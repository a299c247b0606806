"""Excerpts of songs: whole frames, always the same held out, and songs that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model.autoencoder import LiveAutoencoder
from model.corpus.dataset import prepare
from model.excerpts import Excerpts, set_statistics, whole_frames
from model.presets import PAPER, TINY


def songs(folder: Path, seconds: float = 9.0) -> Path:
    rng = np.random.default_rng(0)
    (folder / "songs").mkdir()
    for number in range(3):
        noise = 0.1 * rng.standard_normal(int(8000 * seconds))
        soundfile.write(folder / "songs" / f"{number}.wav", noise, 8000)
    prepare(folder / "songs", folder / "data", 8000, 1, 0.3)
    return folder / "data"


def excerpts(data: Path, seconds: float = 0.3) -> Excerpts:
    return Excerpts(data, TINY.autoencoder, seconds, np.random.default_rng(1))


def test_whole_frames_at_least_as_long() -> None:
    assert whole_frames(TINY.autoencoder, 0.3) == 15 * 160
    assert whole_frames(TINY.autoencoder, 0.301) == 16 * 160
    assert whole_frames(PAPER.autoencoder, 1.0) == 24_000


def test_held_out_stays_and_training_moves(tmp_path: Path) -> None:
    made = excerpts(songs(tmp_path))
    assert made.batch(3).shape == (3, 1, 2400)
    assert not torch.equal(made.batch(3), made.batch(3))
    assert made.held_out().shape == (12, 1, 4 * 8000)
    assert torch.equal(made.held_out(), made.held_out())


def test_statistics_make_unit_variance_whatever_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, made = LiveAutoencoder(TINY.autoencoder).eval(), excerpts(songs(tmp_path))
    network.mean += 3.0
    network.std *= 0.2
    set_statistics(network, made)
    with torch.no_grad():
        latents = network.normalised(made.batch(64)).flatten(0, 1)
    assert torch.allclose(latents.mean(0), torch.zeros(8), atol=0.3)
    assert torch.allclose(latents.std(0), torch.ones(8), atol=0.3)


def test_songs_that_do_not_fit_are_refused_in_a_line(tmp_path: Path) -> None:
    data, rng = songs(tmp_path), np.random.default_rng(1)
    with pytest.raises(SystemExit, match=r"8000 Hz × 1, .* 24000 Hz × 1: .*--rate 24000"):
        Excerpts(data, PAPER.autoencoder, 1.0, rng)
    with pytest.raises(SystemExit, match="no train song has 80000 samples: use shorter windows"):
        excerpts(data, 10.0)
    with pytest.raises(SystemExit, match=r"no index\.json in"):
        excerpts(tmp_path)
