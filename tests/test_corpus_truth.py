"""What the truth file says is what was composed and what sounds."""

import json
from itertools import pairwise

import numpy as np
import pytest

from model.corpus.composer import compose
from model.corpus.styles import STYLES
from model.corpus.synth import SAMPLE_RATE_HZ, Rendering
from model.corpus.theory import NAMES
from model.corpus.truth import active_intervals, brightness_by_bar, density_by_bar, truth_of


def _rendering(song):
    """A tone instead of FluidSynth: 440 Hz for all of the song."""
    time = np.arange(round(song.duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    mix = np.repeat(0.2 * np.sin(2 * np.pi * 440 * time)[:, None], 2, axis=1).astype(np.float32)
    gains = {part.name: -3.0 for part in song.parts}
    return Rendering(mix, {part.name: mix for part in song.parts}, gains)


@pytest.mark.parametrize("name", list(STYLES))
def test_the_truth_is_complete_json(name):
    song = compose(name, 7, 0)
    truth = json.loads(json.dumps(truth_of(song, _rendering(song))))
    assert truth["style"] == name and truth["bpm"] == song.bpm and truth["seed"] == 7
    assert len(truth["chords"]) == song.beats
    assert len(truth["density_hz_by_bar"]) == len(truth["brightness_hz_by_bar"]) == song.bars
    assert set(truth["stems"]) == {part.name for part in song.parts}
    assert truth["keys"][0]["tonic"] in NAMES
    assert truth["sections"][-1]["end_s"] == pytest.approx(song.duration_s, abs=1e-3)
    assert len(set(truth["captions"])) >= 4 and name in truth["tags"]
    assert any(f"{song.bpm:g} bpm" in caption for caption in truth["captions"])


def test_chords_by_beat_are_those_composed():
    song = compose("jazz", 7, 1)
    chords = truth_of(song, _rendering(song))["chords"]
    for chord in song.chords:
        assert chords[int(chord.start)] == chord.symbol


@pytest.mark.parametrize("name", list(STYLES))
def test_active_intervals_cover_every_note_once(name):
    song = compose(name, 7, 2)
    for part in song.parts:
        spans = active_intervals(song, part)
        assert all(a[1] < b[0] for a, b in pairwise(spans))
        for note in part.notes:
            start_s = note.start * 60 / song.bpm
            assert any(begin - 1e-3 <= start_s <= end + 1e-3 for begin, end in spans)


def test_brightness_is_the_centroid_and_density_counts_onsets():
    song = compose("chiptune", 7, 3)
    assert brightness_by_bar(song, _rendering(song).mix) == pytest.approx(
        [440.0] * song.bars, rel=0.02
    )
    density = density_by_bar(song)
    full = [section for section in song.sections if section.energy == 3]
    sparse = [section for section in song.sections if section.energy <= 1]
    if full and sparse:
        loud = density[int(full[0].start / 4) : int(full[0].end / 4)]
        quiet = density[int(sparse[0].start / 4) : int(sparse[0].end / 4)]
        assert np.mean(loud) > np.mean(quiet)
