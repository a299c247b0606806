"""FluidSynth: what is missing is said, what is there plays."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from model.corpus import synth
from model.corpus.composer import compose
from model.corpus.song import Note, Part
from model.corpus.synth import SAMPLE_RATE_HZ, SynthError, active_rms, find_synth, render


def _found():
    try:
        return find_synth()
    except SynthError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def player():
    return _found()


def _short(bars=2):
    """Two bars of a song: a struck A4 on the piano and four kicks."""
    song = compose("house", 1, 0)
    piano = Part("harmony", 0, False, (Note(0.0, 8.0, 69, 100),), -3.0, 0)
    kicks = tuple(Note(float(beat), 0.25, 36, 110) for beat in range(0, 8, 2))
    drums = Part("drums", 0, True, kicks, 0.0, 0)
    return replace(song, bpm=120.0, bars=bars, parts=(piano, drums))


def test_a_missing_program_names_the_cure(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SynthError, match="apt install fluidsynth"):
        find_synth()


def test_a_missing_soundfont_names_the_cure(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/true")
    monkeypatch.setattr(synth, "_USUAL", (str(tmp_path / "none.sf2"),))
    monkeypatch.delenv("PERPETUO_SOUNDFONT", raising=False)
    with pytest.raises(SynthError, match="apt install fluid-soundfont-gm"):
        find_synth()


def test_option_goes_before_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/true")
    for name in ("option.sf2", "environment.sf2"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PERPETUO_SOUNDFONT", str(tmp_path / "environment.sf2"))
    assert find_synth().soundfont.endswith("environment.sf2")
    assert find_synth(str(tmp_path / "option.sf2")).soundfont.endswith("option.sf2")


def test_active_rms_leaves_pauses_out():
    tone = np.full((SAMPLE_RATE_HZ, 2), 0.5, np.float32)
    assert active_rms(np.concatenate([tone, 0 * tone])) == pytest.approx(0.5)
    assert active_rms(0 * tone) == 0.0


def test_the_mix_is_the_sum_of_its_stems_at_one_loudness(player):
    made = render(player, _short())
    assert made.mix.shape == (4 * SAMPLE_RATE_HZ, 2) and made.mix.dtype == np.float32
    np.testing.assert_allclose(sum(made.stems.values()), made.mix, atol=1e-5)
    loudness_db = 10 * np.log10(np.square(made.mix).mean())
    assert loudness_db <= -17.9 and np.abs(made.mix).max() <= 0.9701
    assert loudness_db > -18.1 or np.abs(made.mix).max() > 0.96


def test_pitch_is_a440_and_drums_strike_on_the_beat(player):
    made = render(player, _short())
    spectrum = np.abs(np.fft.rfft(made.stems["harmony"].mean(axis=1)))
    peak_hz = np.argmax(spectrum) * SAMPLE_RATE_HZ / len(made.mix)
    assert abs(1200 * np.log2(peak_hz / 440.0)) < 15
    drums = np.abs(made.stems["drums"]).max(axis=1)
    for second in range(4):
        begin = second * SAMPLE_RATE_HZ
        attack = drums[begin : begin + SAMPLE_RATE_HZ // 20].max()
        assert (
            attack
            > 20 * drums[begin + SAMPLE_RATE_HZ * 9 // 10 : begin + SAMPLE_RATE_HZ - 300].max()
        )


def test_rendering_is_repeatable(player):
    first, second = render(player, _short(1)), render(player, _short(1))
    np.testing.assert_array_equal(first.mix, second.mix)


def test_a_soundfont_that_is_none_is_one_line(player, tmp_path):
    bad = tmp_path / "bad.sf2"
    bad.write_bytes(b"not a soundfont")
    with pytest.raises(SynthError) as caught:
        render(replace(player, soundfont=str(bad)), _short(1))
    assert "\n" not in str(caught.value) and "bad.sf2" in str(caught.value)
