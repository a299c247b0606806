"""bench.judge: a few steps tell struck music with drums from held music without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from known_songs import RATE_HZ, known_song, write_known

from bench import judge
from bench.ear import levels, load_judge
from bench.judge import Windows, disguised, known_songs, loss_of
from model.corpus.dataset import Songs
from model.corpus.labels import STYLE_NAMES


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_known(tmp_path_factory.mktemp("known"), 2, 9.0)


@pytest.fixture(scope="module")
def run(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("judge")
    corpus, data = map(str, folders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "BATCH", 6)
        options = ["--corpus", corpus, "--data", data, "--out", str(out), "--steps", "25"]
        assert judge.main(options) == 0
    return out


def test_held_out_songs_are_told_apart(run: Path) -> None:
    found = json.loads((run / "judge.json").read_text())
    assert (found["songs"], found["windows"]) == (4, 8)
    assert found["style"] == 1.0
    assert found["by_family"]["drums"] == {"there": 1.0, "not_there": 1.0}
    assert found["by_family"]["winds"]["there"] is None


def test_the_saved_judge_hears_the_same(run: Path) -> None:
    ears = load_judge(run)
    for style in ("jazz", "ambient"):
        verdict = ears.hear(known_song(style, 99, 4.0), RATE_HZ)
        assert verdict.style == style
        assert verdict.sounds("drums") == (style == "jazz")


def test_windows_carry_the_truth(folders: tuple[Path, Path]) -> None:
    corpus, data = folders
    windows = Windows(Songs(data), known_songs(Songs(data), corpus, "train"))
    places = windows.draw(np.random.default_rng(0), 12)
    seen, styles, wanted = windows.batch(places)
    assert seen.shape == (12, 1, 200, 80)
    jazz = styles == STYLE_NAMES.index("jazz")
    assert 0 < jazz.sum() < 12
    assert torch.equal(wanted[:, 0], jazz.float())  # drums


def test_a_window_of_the_kept_spectra_is_what_the_judge_will_see(
    folders: tuple[Path, Path],
) -> None:
    corpus, data = folders
    songs = Songs(data)
    known = known_songs(songs, corpus, "valid")[:1]
    seen = Windows(songs, known).batch([(known[0], 100)])[0]
    audio = songs.window(known[0].entry, 100 * 480, 96_000).T
    away_from_the_edges = slice(4, -4)
    there = levels(torch.from_numpy(audio))[:, :, away_from_the_edges]
    assert torch.allclose(seen[:, :, away_from_the_edges], there, atol=0.05)


def test_an_instrument_that_may_or_may_not_sound_does_not_count() -> None:
    odds, styles = torch.ones(12), torch.zeros(1, dtype=torch.int64)
    heard = torch.zeros(1, 9), torch.tensor([[5.0, *[0.0] * 11]])
    unsure, wrong = -torch.ones(1, 12), torch.tensor([[0.0, *[-1.0] * 11]])
    assert loss_of(heard, styles, unsure, odds) < loss_of(heard, styles, wrong, odds)


def test_a_disguise_keeps_shape_and_time() -> None:
    seen = torch.randn(3, 1, 50, 80)
    assert disguised(seen).shape == seen.shape
    assert (disguised(torch.zeros(2, 1, 50, 80)).std(dim=2) < 1e-6).all()


def test_data_without_truth_is_one_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge.main(["--corpus", str(tmp_path), "--data", str(folders[1])]) == 2
    assert "no train song has its truth" in capsys.readouterr().err
