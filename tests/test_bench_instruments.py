"""bench.instruments: where families sound, and the whole report on the stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from known_songs import untaught_judge, write_known

from bench import instruments
from bench.instruments import drawn, places_of, rates
from bench.judge import known_songs
from model.corpus.dataset import Songs


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_known(tmp_path_factory.mktemp("known"), 2, 30.0)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untaught_judge(tmp_path_factory.mktemp("judge"))


def test_families_are_found_where_they_sound(folders: tuple[Path, Path]) -> None:
    corpus, data = folders
    places = places_of(known_songs(Songs(data), corpus, "valid"))
    assert {family for family, found in places.items() if found} == {
        "drums", "keys", "pad", "strings"
    }  # fmt: skip
    assert [start_s for _, start_s in places["drums"]] == 2 * [0.0, 6.0, 12.0, 18.0]
    some = drawn(places["drums"], 3)
    assert len(some) == 3 and some == drawn(places["drums"], 3)
    assert len(drawn(places["drums"], 99)) == 8
    assert len({song.entry.name for song, _ in drawn(places["drums"], 2)}) == 2


def test_rates_count_each_side() -> None:
    heard = [(True, True, False), (True, False, False), (True, True, True), (True, True, False)]
    assert rates(heard) == {"stretches": 4, "songs": 1.0, "copies": 0.75, "tokens": 0.25}


def test_the_whole_report(folders: tuple[Path, Path], judge: Path, tmp_path: Path) -> None:
    corpus, data = map(str, folders)
    options = ["--backend", "standin", "--judge", str(judge), "--data", data, "--corpus", corpus]
    options += ["--stretches", "2", "--out", str(tmp_path), "--split", "all"]
    assert instruments.main(options) == 0
    report = json.loads((tmp_path / "instruments.json").read_text())
    assert report["all"]["stretches"] == 8 and set(report["families"]) == {
        "drums", "keys", "pad", "strings"
    }  # fmt: skip
    page = (tmp_path / "instruments.md").read_text()
    assert "| true tokens |" in page and "| all | 8 |" in page


def test_songs_that_say_nothing_are_one_line(
    folders: tuple[Path, Path], judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, data = write_known(tmp_path, 1, 9.0)
    options = ["--backend", "standin", "--judge", str(judge), "--data", str(data), "--corpus"]
    assert instruments.main([*options, str(corpus), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("instruments: no family sounds for 11 s")
