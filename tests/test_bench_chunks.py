"""bench.chunks on the stand-in: a row for every size, and how each is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prepared_songs import write_prepared

from bench import chunks
from bench.chunks import Subject
from engine.backends import standin


def test_each_size_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_prepared(data, [8.0] * 4)
    monkeypatch.setattr(chunks, "PROMPT_S", 3.0)
    monkeypatch.setattr(chunks, "TRUTH_S", 4.0)
    asked = [
        "--backend",
        "standin",
        "--split",
        "all",
        "--songs",
        "2",
        "--sizes",
        "8",
        "16",
        "--seconds",
        "2",
        "--live",
        "0",
    ]
    assert chunks.main([*asked, "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "chunks.json").read_text())
    found = [(one["frames"], one["chunk_s"], one["listed"]) for one in report["sizes"]]
    assert found == [(8, 0.16, True), (16, 0.32, True)]
    assert all(one["real_time_factor"] > 0 and one["live"] is None for one in report["sizes"])
    assert "| 8 | 0.16 | yes |" in capsys.readouterr().out
    assert chunks.main([*asked, "--data", str(tmp_path / "none")]) == 2
    assert chunks.main([*asked, "--sizes", "5", "--data", str(data)]) == 2


def test_a_size_that_the_bundle_has_is_asked_of_serve(tmp_path: Path) -> None:
    subject = Subject.of(standin.bundle(), 8, tmp_path)
    assert subject.bundle.manifest.chunk_frames == (8, 16)
    assert subject.arguments == ("--chunk", "8")
    assert subject.listed
