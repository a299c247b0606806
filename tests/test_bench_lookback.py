"""bench.lookback: rings of other lengths, and what passes over them cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_export import packed

from bench.lookback import filled, main
from bench.rechunk import rechunked
from engine.errors import UsageError


def test_every_length_is_filled_ticked_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of lengths that the bundle has already: `bench.rechunk` makes the others."""
    bundle = packed()[1]
    chunks = bundle.manifest.context.chunks
    own_s = str(chunks * bundle.manifest.chunk_s)
    where = ["--bundle", str(bundle.path), "--backend", "ort", "--out", str(tmp_path)]
    assert main(["--seconds", own_s, own_s, "--ticks", "4", *where]) == 0
    report = json.loads((tmp_path / "lookback.json").read_text())
    assert [one["chunks"] for one in report["lengths"]] == [chunks, chunks]
    assert all(one["passes_ms"]["count"] == 4 for one in report["lengths"])
    assert all(one["passes_ms"]["p50"] > 0 for one in report["lengths"])
    page = (tmp_path / "lookback.md").read_text()
    assert f"| {chunks} |" in page and page in capsys.readouterr().out


def test_every_slot_of_the_ring_holds_something() -> None:
    generator = filled(packed()[1], "ort", 1)
    held = generator.history()
    assert len(held) == generator.bundle.manifest.context.chunks
    assert held.any((1, 2)).all()


def test_a_past_shorter_than_a_chunk_is_refused(tmp_path: Path) -> None:
    bundle = packed()[1]
    with pytest.raises(UsageError, match="frames"):
        rechunked(bundle, bundle.manifest.chunk_frames[0], tmp_path / "no", 0.001)
