"""Songs in other keys: names, truths, and what listens hears them there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from model.corpus.variants import song_of, transposed, truth_beside, variant
from model.presets import LIVE
from model.semantic import Front

TRUTH = {
    "keys": [{"start_s": 0.0, "tonic": "Bb", "mode": "minor"}],
    "chords": ["Bbm7", "Ebmaj7", "F7/A", "B"],
    "bpm": 90.0,
}


@pytest.mark.parametrize("semitones", [-5, 0, 2, 11])
def test_names_tell_song_and_distance(semitones: int) -> None:
    assert song_of(variant("songs/1.flac", semitones)) == ("songs/1.flac", semitones)


def test_keys_and_chords_move_and_nothing_else() -> None:
    moved = transposed(TRUTH, 2)
    assert moved["keys"] == [{"start_s": 0.0, "tonic": "C", "mode": "minor"}]
    assert moved["chords"] == ["Cm7", "Fmaj7", "G7/B", "Db"]
    assert moved["bpm"] == 90.0 and TRUTH["chords"][0] == "Bbm7"
    back = transposed(moved, -2)
    assert back == TRUTH


def test_a_truth_is_found_beside_its_song(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps(TRUTH))
    assert truth_beside(tmp_path, "1.flac") == TRUTH
    found = truth_beside(tmp_path, variant("1.flac", -1))
    assert found is not None and found["keys"][0]["tonic"] == "A"
    assert truth_beside(tmp_path, "2.flac") is None
    assert truth_beside(None, "1.flac") is None


@pytest.mark.parametrize("semitones", [-3, 4])
def test_rows_shift_as_a_higher_tone_would(semitones: int) -> None:
    front = Front(LIVE.semantic, 24_000)
    t = torch.arange(9_600) / 24_000
    here, there = (
        front(torch.sin(2 * math.pi * hz * t)[None, None])
        for hz in (440.0, 440.0 * 2 ** (semitones / 12))
    )
    bands = front.pitch.shape[1]
    moved = front.transposed(here, semitones)
    assert moved.shape == here.shape
    assert torch.equal(front.transposed(here, 0), here)
    peak, wanted = (rows[0, 4, :bands].argmax() for rows in (moved, there))
    assert abs(int(peak) - int(wanted)) <= 1
    assert torch.equal(moved[..., bands : bands + 64], here[..., bands : bands + 64])
