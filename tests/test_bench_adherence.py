"""bench.adherence: the whole report on the stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from known_songs import untaught_judge, write_known

from bench import adherence


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untaught_judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_known(tmp_path_factory.mktemp("known"), 2, 18.0)


@pytest.fixture(scope="module")
def out(judge: Path, folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("out")
    corpus, data = map(str, folders)
    options = ["--backend", "standin", "--judge", str(judge), "--data", data, "--corpus", corpus]
    options += ["--out", str(written), "--seeds", "1", "--sounds", "--only", "style", "key"]
    assert adherence.main(options) == 0
    return written


@pytest.fixture(scope="module")
def report(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "adherence.json").read_text()))


def test_what_can_be_asked_is_played_and_the_rest_is_named(report: dict[str, Any]) -> None:
    groups = report["groups"]
    assert set(groups) == {"style", "style, by a recording", "key", "key, one note off"}
    assert groups["key"]["streams"] == 8
    assert (
        groups["style"]["streams"]
        + groups["style, by a recording"]["streams"]
        + len(report["refused"])
        == 18
    )
    assert any("house" in line and "known" in line for line in report["refused"])


def test_the_ceiling_is_that_of_the_songs(report: dict[str, Any]) -> None:
    assert report["stretches"] == 12
    tests = report["groups"]["key"]["each"]
    assert tests["C major"]["songs"] is not None  # all songs are in C major
    assert tests["E major"]["songs"] is None
    assert 0.0 <= report["groups"]["style"]["chance"] <= 1.0
    assert report["song_kinds"] >= 1 and report["groups"]["key"]["kinds"] >= 1


def test_the_page_has_a_verdict_for_what_has_a_goal(out: Path) -> None:
    page = (out / "adherence.md").read_text()
    lines = {line.split(" | ")[0]: line for line in page.splitlines()}
    assert "MISSED" in lines["| style"] or "met" in lines["| style"]
    assert "MISSED" not in lines["| style, by a recording"]


def test_what_was_played_can_be_heard(out: Path) -> None:
    played = soundfile.info(out / "key - C major - 0.flac")
    assert played.duration == pytest.approx(18.0, abs=0.7)


def test_what_is_missing_is_one_line(
    judge: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, data = map(str, folders)
    options = ["--backend", "standin", "--judge", str(judge), "--data", data, "--corpus"]
    assert adherence.main([*options, str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "no held-out song" in capsys.readouterr().err
    assert adherence.main([*options, corpus, "--judge", str(tmp_path)]) == 2
    assert "bench.judge" in capsys.readouterr().err
