"""bench.quality and its page: the whole report on the stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from prepared_songs import RATE_HZ, pluck_song, write_prepared

from bench import quality
from bench.compare import changes
from bench.markdown import render, table

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    recordings = tmp_path_factory.mktemp("takes")
    written = tmp_path_factory.mktemp("out")
    write_prepared(data, [8.0] * 4)
    soundfile.write(recordings / "take.wav", pluck_song(9, 8.0), RATE_HZ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "PROMPT_S", 3.0)
        patch.setattr(quality, "TRUTH_S", 4.0)
        patch.setattr(quality, "PICTURES", 1)
        patch.setattr(quality, "QUICK", quality.Extent(2, 40.0))
        options = ["--backend", "standin", "--quick", "--data", str(data)]
        assert quality.main([*options, "--takes", str(recordings), "--out", str(written)]) == 0
    return written


@pytest.fixture(scope="module")
def report(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "report.json").read_text()))


def test_every_part_has_its_figures(report: dict[str, Any]) -> None:
    assert report["autoencoder"]["held_out"]["mel_error_db"] > 0.0
    assert report["autoencoder"]["takes"]["each"][0]["name"] == "take.wav"
    assert set(report["frechet"]["distances"]) == {
        "held-out", "autoencoder", "continuation", "shuffled 50 ms", "white noise"
    }  # fmt: skip
    assert not report["frechet"]["enough_songs"]
    assert set(report["kept"]) == {"continuation", "truth", "chance"}
    assert report["drift"]["bad_samples"] == 0
    assert len(report["songs"]) == 2


def test_the_page_shows_every_picture_that_was_drawn(out: Path) -> None:
    page = (out / "report.md").read_text()
    drawn = {path.name for path in out.glob("*.png")}
    assert drawn == {line[2:].split("]")[0] for line in page.splitlines() if line[:2] == "!["}
    assert "Too few songs to quote" in page
    assert "MISSED" in page


def test_variety_is_told_where_a_bundle_hears_tokens(out: Path, report: dict[str, Any]) -> None:
    assert report["variety"] == {} and "## Variety" not in (out / "report.md").read_text()
    told = {**report, "variety": {"continuation": 9.0, "held-out": 16.0}}
    assert "| held-out | 16 |" in render(told, [], [])


def test_continuations_and_the_stream_can_be_heard(out: Path) -> None:
    lengths = {path.name: soundfile.info(path).duration for path in out.glob("*.flac")}
    assert lengths["stream.flac"] == pytest.approx(40.0)
    assert sorted(lengths.values())[:-1] == pytest.approx([7.0] * 3)


def test_a_report_compares_with_itself(report: dict[str, Any]) -> None:
    found = changes(report, report, 0.1)
    assert {change.name for change in found} >= {"frechet.ratio", "kept.continuation.key_same"}
    assert not any(change.worse for change in found)


def test_a_folder_that_holds_nothing_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quality.main(["--backend", "standin", "--data", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_missing_bundle_is_exit_3(tmp_path: Path) -> None:
    assert quality.main(["--bundle", str(tmp_path / "none")]) == 3


def test_a_table_writes_three_digits_and_a_dash_for_nothing() -> None:
    assert table(("a", "b"), [("x", 0.12345), ("y", None)]).splitlines()[2:] == [
        "| x | 0.123 |",
        "| y | - |",
    ]
