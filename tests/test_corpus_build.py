"""Corpus folders: balanced, deterministic, resumable. A stand-in plays instead of FluidSynth."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from model.corpus import __main__ as command
from model.corpus import build as building
from model.corpus.build import Plan, build, build_song, song_of, style_of
from model.corpus.composer import compose
from model.corpus.styles import STYLES
from model.corpus.synth import SAMPLE_RATE_HZ, Rendering, Synth, SynthError, find_synth

SYNTH = Synth("none", "none")


def _tone(synth, song):
    """One quiet constant per stem, a tenth of a second long."""
    stems = {
        part.name: np.full((SAMPLE_RATE_HZ // 10, 2), 0.01 * (1 + number), np.float32)
        for number, part in enumerate(song.parts)
    }
    mix = np.asarray(sum(stems.values()), np.float32)
    return Rendering(mix, stems, {name: 0.0 for name in stems})


@pytest.fixture
def tone(monkeypatch):
    monkeypatch.setattr(building, "render", _tone)
    monkeypatch.setattr(
        building, "truth_of", lambda song, rendering: {"style": song.style, "bpm": song.bpm}
    )


def test_styles_are_dealt_out_evenly():
    styles = tuple(STYLES)
    for block in range(5):
        dealt = Counter(
            style_of(3, block * len(styles) + place, styles) for place in range(len(styles))
        )
        assert set(dealt.values()) == {1}
    first, second = ([style_of(seed, i, styles) for i in range(40)] for seed in (1, 2))
    assert first != second


def test_a_song_depends_on_seed_and_index_only(tmp_path):
    small = Plan(tmp_path, 4, 5)
    large = replace(small, out=tmp_path / "other", songs=100, stems=False)
    assert song_of(small, 3) == song_of(large, 3)
    assert song_of(small, 3) == compose(song_of(small, 3).style, 5, 3)


def test_scores_add_a_style(tmp_path):
    piece = [[67, 64, 60, 48], [69, 65, 60, 53], [71, 65, 62, 55], [72, 64, 60, 48]] * 8
    (tmp_path / "pieces.json").write_text(json.dumps({"train": [piece]}))
    count = len(STYLES) + 1
    plan = Plan(tmp_path, count, 1, tmp_path)
    assert [song_of(plan, i).style for i in range(count)].count("chorale") == 1


def test_a_song_is_mix_stems_and_truth(tone, tmp_path):
    (tmp_path / "songs").mkdir()
    plan = Plan(tmp_path, 1)
    assert build_song(plan, 0, SYNTH)
    song = song_of(plan, 0)
    mix, rate = soundfile.read(tmp_path / "songs/000000.flac")
    stems = [soundfile.read(path)[0] for path in (tmp_path / "songs/000000.stems").iterdir()]
    assert rate == SAMPLE_RATE_HZ and len(stems) == len(song.parts)
    np.testing.assert_allclose(sum(stems), mix, atol=1e-3)
    assert json.loads((tmp_path / "songs/000000.json").read_text())["style"] == song.style
    assert not [path for path in (tmp_path / "songs").iterdir() if path.name.startswith(".")]


def test_complete_songs_are_kept_and_incomplete_ones_made_again(tone, tmp_path):
    (tmp_path / "songs").mkdir()
    plan = Plan(tmp_path, 1, stems=False)
    assert build_song(plan, 0, SYNTH)
    assert not build_song(plan, 0, SYNTH)
    assert build_song(replace(plan, stems=True), 0, SYNTH)
    (tmp_path / "songs/000000.json").unlink()
    assert build_song(plan, 0, SYNTH)


def test_the_command_says_what_is_missing(monkeypatch, tmp_path, capsys):
    def missing(soundfont):
        raise SynthError("fluidsynth is not installed: apt install fluidsynth")

    monkeypatch.setattr(building, "find_synth", missing)
    assert command.main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "corpus: fluidsynth is not installed: apt install fluidsynth\n"
    )


def test_the_command_refuses_scores_without_chorales(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(building, "find_synth", lambda soundfont: SYNTH)
    assert command.main(["--out", str(tmp_path / "out"), "--scores", str(tmp_path)]) == 2
    assert "no four-part chorales" in capsys.readouterr().err


def test_the_whole_path_in_parallel(tmp_path):
    try:
        find_synth()
    except SynthError as error:
        pytest.skip(str(error))
    plan = Plan(tmp_path, 2, 1)
    assert build(plan, jobs=2) == 2
    assert build(plan, jobs=2) == 0
    for index in range(2):
        truth = json.loads((tmp_path / f"songs/{index:06d}.json").read_text())
        mix, rate = soundfile.read(tmp_path / f"songs/{index:06d}.flac", dtype="float32")
        assert len(mix) == truth["samples"] == round(truth["duration_s"] * rate)
        seconds = np.square(mix[: len(mix) // rate * rate]).reshape(-1, rate * 2).mean(axis=1)
        assert 10 * np.log10(seconds.min()) > -45 and np.abs(mix).max() < 1.0
