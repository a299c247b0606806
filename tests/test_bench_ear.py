"""bench.ear: small, deaf to loudness, and of any rate and length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from known_songs import known_song

from bench.ear import RATE_HZ, WINDOW_SAMPLES, Ear, Judge, levels, load_judge
from engine.brief import FAMILIES
from engine.errors import UsageError
from model.corpus.labels import STYLE_NAMES


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.manual_seed(0)
    return Judge(Ear())


def test_the_ear_is_small() -> None:
    assert sum(weight.numel() for weight in Ear().parameters()) <= 1_000_000


def test_levels_do_not_know_how_loud_it_is() -> None:
    audio = torch.from_numpy(known_song("jazz", 0, 4.0)).float()[None]
    loud, soft = levels(audio), levels(0.05 * audio)
    assert loud.shape == (1, 1, 200, 80)
    assert torch.allclose(loud, soft, atol=1e-3)
    assert torch.isfinite(levels(torch.zeros(1, WINDOW_SAMPLES))).all()


def test_a_verdict_names_every_style_and_instrument(judge: Judge) -> None:
    verdict = judge.hear(known_song("ambient", 0, 4.0), RATE_HZ)
    assert tuple(verdict.styles) == STYLE_NAMES and tuple(verdict.families) == FAMILIES
    assert sum(verdict.styles.values()) == pytest.approx(1.0, abs=1e-5)
    assert verdict.styles[verdict.style] == max(verdict.styles.values())
    assert all(verdict.sounds(name) == (verdict.families[name] > 0.5) for name in FAMILIES)


def test_more_than_a_window_is_the_mean_of_its_windows(judge: Judge) -> None:
    audio = known_song("jazz", 0, 8.0)
    whole, parts = judge.hear(audio, RATE_HZ), (audio[:WINDOW_SAMPLES], audio[WINDOW_SAMPLES:])
    mean = np.mean([judge.hear(part, RATE_HZ).families["drums"] for part in parts])
    assert whole.families["drums"] == pytest.approx(float(mean), abs=1e-5)


def test_another_rate_and_stereo_are_brought_to_its_own(judge: Judge) -> None:
    audio = known_song("ambient", 0, 4.0)
    doubled = np.repeat(audio, 2)[:, None].repeat(2, axis=1)
    here, there = judge.hear(audio, RATE_HZ), judge.hear(doubled, 2 * RATE_HZ)
    assert there.families["pad"] == pytest.approx(here.families["pad"], abs=0.05)


def test_too_little_and_no_judge_are_one_line(judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"3\.00 s to judge, at least 4 s"):
        judge.hear(np.zeros(3 * RATE_HZ), RATE_HZ)
    with pytest.raises(UsageError, match=r"bench\.judge"):
        load_judge(tmp_path)
