"""How much oftener songs with rare instruments are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.rarity import taken_oftener

SONG_S = 20.0
TRUTH = {
    "style": "jazz", "bpm": 120.0, "beats_per_bar": 4, "bars": 10, "duration_s": SONG_S,
    "chords": ["C"] * 40, "keys": [{"start_s": 0.0, "tonic": "C", "mode": "major"}],
    "sections": [{"start_s": 0.0, "energy": 1}],
    "density_hz_by_bar": [2.0] * 10, "brightness_hz_by_bar": [1000.0] * 10,
}  # fmt: skip


def corpus(folder: Path) -> list[str]:
    """Ten songs of a piano; a trumpet sounds in half of the last but one and in all of the last."""
    names = []
    for number in range(10):
        stems: dict[str, Any] = {"harmony": {"instrument": "piano", "active_s": [[0.0, SONG_S]]}}
        if number >= 8:
            until_s = SONG_S / 2 if number == 8 else SONG_S
            stems["lead"] = {"instrument": "trumpet", "active_s": [[0.0, until_s]]}
        (folder / f"{number}.json").write_text(json.dumps(TRUTH | {"stems": stems}))
        names.append(f"{number}.flac")
    return names


def test_by_how_much_of_a_song_is_rare(tmp_path: Path) -> None:
    found = taken_oftener(tmp_path, [*corpus(tmp_path), "unknown.flac"], 5.0)
    assert "unknown.flac" not in found
    assert [found[f"{n}.flac"] for n in range(8)] == [1.0] * 8
    assert found["8.flac"] == pytest.approx(3.0) and found["9.flac"] == pytest.approx(5.0)


def test_nothing_is_known_without_truth(tmp_path: Path) -> None:
    assert taken_oftener(tmp_path, ["a.flac"], 5.0) == {}
    assert taken_oftener(None, ["a.flac"], 5.0) == {}
