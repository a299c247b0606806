"""bench.scene: the truth of a stretch, and the notes of a key."""

from __future__ import annotations

import pytest
import torch
from known_songs import RATE_HZ, known_song, known_truth

from bench.ear import Ear, Judge
from bench.scene import NO_NOTES, composed, heard
from model.corpus.labels import frame_labels


def test_a_stretch_is_what_was_composed_there() -> None:
    truth = known_truth("jazz", 20.0)
    truth["keys"].append({"start_s": 10.0, "tonic": "D", "mode": "major"})
    truth["stems"]["piano"]["active_s"] = [[0.0, 1.0]]
    labels = frame_labels(truth, 200, 10.0)
    early, middle, late = (composed(labels, 10.0, start, 4.0, 8.0) for start in (0.0, 6.0, 11.0))
    assert (early.style, early.bpm, early.drums) == ("jazz", 120.0, True)
    assert (early.notes, middle.notes, late.notes) == (0, NO_NOTES, 2)
    assert early.families["keys"] is None  # a quarter of the stretch
    assert late.families["keys"] is False
    assert late.families["drums"] is True


def test_a_pulse_with_drums_is_heard() -> None:
    audio = known_song("jazz", 0, 8.0)
    found = heard(audio[: 4 * RATE_HZ], audio, RATE_HZ, Judge(Ear()))
    assert found.drums is True
    assert found.bpm == pytest.approx(120.0, rel=0.04)
    assert set(found.families.values()) <= {True, False}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
