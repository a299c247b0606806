"""bench.probe: beats that are in the tokens are read from them, and the page says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from known_songs import TOKEN_HZ, write_known, write_store

from bench import probe
from bench.linear import UNASKED
from bench.probe import CLASSES, Frames, targets
from engine.brief import FAMILIES
from model.tokenise import Semantics


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(corpus, store): a token is the sixteenth, a feature row the style and noise."""
    folder = tmp_path_factory.mktemp("known")
    corpus, data = write_known(folder, 2, 20.0)
    return corpus, write_store(folder, corpus, data)


def test_targets_are_named_and_within_their_classes(folders: tuple[Path, Path]) -> None:
    truth = json.loads((folders[0] / "song0.json").read_text())
    asked = targets(truth, 500, TOKEN_HZ)
    assert set(asked) == set(CLASSES)
    assert all(asked[name].max() < CLASSES[name] for name in CLASSES)
    assert set(np.unique(asked["root of the chord"])) == {0, 9}  # C and Am
    assert set(np.unique(asked["chord"])) == {9, 12}
    assert asked["is a beat"].mean() == pytest.approx(0.25, abs=0.05)


def test_a_chord_without_a_name_is_not_asked_for(folders: tuple[Path, Path]) -> None:
    truth = json.loads((folders[0] / "song0.json").read_text())
    truth["chords"] = ["N.C."] * len(truth["chords"])
    asked = targets(truth, 500, TOKEN_HZ)
    assert (asked["root of the chord"] == UNASKED).all()
    assert (asked["minor or major"] == UNASKED).all()


def test_frames_are_seen_with_their_neighbours(folders: tuple[Path, Path]) -> None:
    frames = Frames.of(Semantics(folders[1]), folders[0], ["song0.flac", "song1.flac"])
    assert frames.count == 1000
    seen = frames.of_tokens(np.array([10]))[0]
    stored = Semantics(folders[1]).tokens["song0.flac"][6:15]
    assert np.array_equal(seen.numpy(), stored)
    assert frames.of_features(np.array([0, 999])).shape == (2, 9, 4)


def test_the_report_reads_what_each_side_knows(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, store = map(str, folders)
    options = ["--corpus", corpus, "--features", store, "--out", str(tmp_path)]
    assert probe.main([*options, "--steps", "60"]) == 0
    found = json.loads((tmp_path / "probe.json").read_text())["targets"]
    assert found["sixteenth of the bar"]["tokens"]["accuracy"] > 0.95
    assert found["sixteenth of the bar"]["features"]["accuracy"] < 0.3
    assert found["style"]["features"]["accuracy"] > 0.95
    assert found["style"]["chance"] == pytest.approx(1 / 9)
    assert all(name in (tmp_path / "probe.md").read_text() for name in FAMILIES)
    assert "mean of the instruments" in capsys.readouterr().out


def test_no_store_is_one_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--corpus", str(folders[0]), "--features"]
    assert probe.main([*options, str(tmp_path)]) == 2
    assert "model.tokenise" in capsys.readouterr().err
