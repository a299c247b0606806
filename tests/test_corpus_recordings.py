"""Recordings of every kind, good and bad."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.corpus.recordings import (
    RecordingError,
    find_recordings,
    level,
    music_spans,
    read_recording,
    to_channels,
)

RATE = 8000


def _noise(seconds, rate=RATE, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * rate), channels))).astype(np.float32)


def _tone(seconds, rate, channels=1):
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat(0.3 * np.sin(2 * np.pi * 300 * time)[:, None], channels, axis=1)


@pytest.mark.parametrize(
    ("rate", "channels", "wanted"), [(8000, 1, 1), (8000, 1, 2), (192_000, 6, 2), (44_100, 2, 1)]
)
def test_any_rate_and_channel_count_becomes_the_wanted_one(tmp_path, rate, channels, wanted):
    soundfile.write(tmp_path / "a.wav", _tone(1.0, rate, channels), rate)
    audio = read_recording(tmp_path / "a.wav", 24_000, wanted)
    assert audio.dtype == np.float32 and audio.shape[1] == wanted
    assert len(audio) == pytest.approx(24_000, abs=2)
    expected = _tone(1.0, 24_000, wanted)[2000:22_000]
    np.testing.assert_allclose(audio[2000:22_000], expected, atol=2e-3)


def test_a_few_broken_values_become_silence_and_many_are_refused(tmp_path):
    audio = _noise(2.0)
    audio[100:110] = np.nan
    audio[200] = np.inf
    soundfile.write(tmp_path / "few.wav", audio, RATE, subtype="FLOAT")
    assert np.isfinite(read_recording(tmp_path / "few.wav", RATE, 1)).all()
    audio[:8000] = np.nan
    soundfile.write(tmp_path / "many.wav", audio, RATE, subtype="FLOAT")
    with pytest.raises(RecordingError, match="8000 of 16000 values are not finite"):
        read_recording(tmp_path / "many.wav", RATE, 1)


@pytest.mark.parametrize("content", [b"", b"not audio at all", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_audio_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        read_recording(tmp_path / "bad.wav", RATE, 1)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_refused(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(RecordingError, match="empty"):
        read_recording(tmp_path / "empty.wav", RATE, 1)


def test_every_cut_of_a_file_is_read_or_refused(tmp_path):
    soundfile.write(tmp_path / "whole.flac", _noise(0.3), RATE)
    content = (tmp_path / "whole.flac").read_bytes()
    for cut in range(0, len(content), max(1, len(content) // 40)):
        (tmp_path / "cut.flac").write_bytes(content[:cut])
        try:
            assert np.isfinite(read_recording(tmp_path / "cut.flac", RATE, 1)).all()
        except RecordingError as error:
            assert "\n" not in str(error)


def test_found_are_audio_files_but_no_stems_and_nothing_hidden(tmp_path):
    for name in ("b.WAV", "a/x.flac", "a/x.stems/bass.flac", ".hidden.wav", "notes.txt", "z.mp3"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_recordings(tmp_path)]
    assert found == ["a/x.flac", "b.WAV", "z.mp3"]


@given(st.integers(1, 6), st.integers(1, 3))
def test_channels_are_averaged_or_repeated(have, want):
    audio = np.arange(1, have + 1, dtype=np.float32)[None, :].repeat(5, axis=0)
    mixed = to_channels(audio, want)
    assert mixed.shape == (5, want)
    assert np.isfinite(mixed).all() and mixed.min() >= 1 and mixed.max() <= have
    if want == 1:
        np.testing.assert_allclose(mixed, (have + 1) / 2)


@given(st.floats(0, 6), st.floats(0, 6))
@settings(max_examples=15, deadline=None)
def test_silence_around_the_music_is_cut(before, after):
    parts = [np.zeros((round(s * RATE), 1), np.float32) for s in (before, after)]
    audio = np.concatenate([parts[0], _noise(12), parts[1]])
    ((start, stop),) = music_spans(audio, RATE)
    assert abs(start / RATE - before) < 0.25 and abs((len(audio) - stop) / RATE - after) < 0.25


def test_a_fade_out_is_cut():
    fade = np.concatenate([np.ones(20 * RATE), np.linspace(1, 0, 10 * RATE)])[:, None]
    ((start, stop),) = music_spans((_noise(30) * fade).astype(np.float32), RATE)
    assert start == 0 and 26.5 * RATE < stop < 28.5 * RATE


def test_a_pause_parts_two_pieces_and_a_short_one_is_dropped():
    silence = np.zeros((4 * RATE, 1), np.float32)
    audio = np.concatenate([_noise(10), silence, _noise(9), silence, _noise(5)])
    spans = music_spans(audio, RATE)
    assert [round((stop - start) / RATE) for start, stop in spans] == [10, 9]


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.5, 7.9])
def test_too_short_is_no_music(seconds):
    assert music_spans(_noise(seconds), RATE) == []


def test_silence_is_no_music():
    assert music_spans(np.zeros((20 * RATE, 2), np.float32), RATE) == []


def test_level_reaches_its_loudness_without_clipping():
    quiet = level(_noise(1) * 0.01)
    assert 10 * np.log10(np.square(quiet).mean()) == pytest.approx(-18.0, abs=0.01)
    click = np.zeros((RATE, 1), np.float32)
    click[100] = 0.2
    assert np.abs(level(click)).max() == pytest.approx(0.97)
