"""Excerpts of songs: whole frames, always the same held out, and songs that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model import excerpts as excerpts_module
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


def test_as_many_excerpts_as_wanted_are_in_another_timbre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silenced(audio: np.ndarray, samples: int, *_: object) -> np.ndarray:
        return np.zeros((len(audio), samples, audio.shape[2]), np.float32)

    data, codec = songs(tmp_path), TINY.autoencoder
    made = Excerpts(data, codec, 0.3, np.random.default_rng(1), timbres=1.0)
    assert made.batch(4).shape == (4, 1, 2400) and made.batch(4).std() > 0.01
    monkeypatch.setattr(excerpts_module, "in_other_timbres", silenced)
    for part, least, most in ((0.0, 0, 0), (0.5, 30, 70), (1.0, 100, 100)):
        made = Excerpts(data, codec, 0.3, np.random.default_rng(1), timbres=part)
        heard = made.batch(100).abs().amax(dim=(1, 2))
        assert least <= int((heard == 0).sum()) <= most


def test_the_longest_excerpt_that_another_timbre_takes_must_fit(tmp_path: Path) -> None:
    data, codec, rng = songs(tmp_path), TINY.autoencoder, np.random.default_rng(1)
    Excerpts(data, codec, 8.0, rng)
    with pytest.raises(SystemExit, match="no train song has"):
        Excerpts(data, codec, 8.0, rng, timbres=0.5)


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
