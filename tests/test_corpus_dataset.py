"""Prepared data sets: whole, split, and read back."""

import json

import numpy as np
import pytest
import soundfile

from model.corpus.dataset import Songs, prepare, split_of
from model.corpus.prepare import main

RATE = 8000


def _write(path, seconds, rate=RATE, channels=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    soundfile.write(path, 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate)


@pytest.fixture
def mixed(tmp_path):
    """Recordings of every kind in one folder."""
    folder = tmp_path / "mine"
    _write(folder / "mono.wav", 10)
    _write(folder / "deep/er/six.wav", 9, 192_000, 6)
    _write(folder / "stereo.flac", 11, 44_100, 2)
    _write(folder / "short.wav", 2)
    (folder / "broken.wav").write_bytes(b"no audio")
    (folder / "empty.mp3").touch()
    (folder / "cover.jpg").write_bytes(b"a picture")
    broken = np.full((RATE * 10, 1), np.nan, np.float32)
    soundfile.write(folder / "nan.wav", broken, RATE, subtype="FLOAT")
    return folder


def test_a_folder_of_anything_becomes_a_data_set(mixed, tmp_path):
    skipped = prepare(mixed, tmp_path / "out", RATE, 1)
    assert sorted(line.split(":")[0] for line in skipped) == [
        "broken.wav",
        "empty.mp3",
        "nan.wav",
        "short.wav",
    ]
    assert all(len(line.splitlines()) == 1 for line in skipped)
    songs = Songs(tmp_path / "out")
    assert [song.name for song in songs.songs] == ["deep/er/six.wav", "mono.wav", "stereo.flac"]
    assert [round(song.samples / RATE) for song in songs.songs] == [9, 10, 11]
    assert (
        sum(song.samples for song in songs.songs) * 2 == (tmp_path / "out/audio.i16").stat().st_size
    )
    assert songs.split("train") and songs.split("valid")


@pytest.mark.parametrize("channels", [1, 2])
def test_windows_hold_the_audio(tmp_path, channels):
    folder = tmp_path / "mine"
    rng = np.random.default_rng(1)
    audio = np.clip(0.1 * rng.standard_normal((RATE * 10, channels)), -0.9, 0.9)
    audio *= 10 ** (-18 / 20) / np.sqrt(np.square(audio).mean())
    (folder / "songs").mkdir(parents=True)
    soundfile.write(folder / "songs/000000.flac", audio, RATE, subtype="PCM_24")
    (folder / "songs/000000.json").write_text(json.dumps({"style": "funk", "bpm": 100.0}))
    prepare(folder, tmp_path / "out", RATE, channels)
    songs = Songs(tmp_path / "out")
    song = songs.songs[0]
    assert (song.style, song.bpm, songs.channels) == ("funk", 100.0, channels)
    window = songs.window(song, 1000, 500)
    assert window.shape == (500, channels) and window.dtype == np.float32
    np.testing.assert_allclose(window, audio[1000:1500], atol=1e-4)


def test_stems_are_not_songs(tmp_path):
    folder = tmp_path / "corpus"
    for index in range(3):
        _write(folder / f"songs/{index:06d}.flac", 9, seed=index)
        _write(folder / f"songs/{index:06d}.stems/bass.flac", 9)
        (folder / f"songs/{index:06d}.json").write_text(json.dumps({"style": "funk"}))
    prepare(folder, tmp_path / "out", RATE, 1)
    assert len(Songs(tmp_path / "out").songs) == 3


def test_the_split_is_by_name_and_near_its_fraction():
    names = [f"songs/{index:06d}.flac" for index in range(2000)]
    valid = [name for name in names if split_of(name, 0.06) == "valid"]
    assert 80 < len(valid) < 160
    assert set(valid) < {name for name in names if split_of(name, 0.2) == "valid"}


def test_one_recording_is_split_in_time(tmp_path):
    _write(tmp_path / "mine/only.wav", 60)
    prepare(tmp_path / "mine", tmp_path / "out", RATE, 1)
    songs = Songs(tmp_path / "out")
    (train,), (valid,) = songs.split("train"), songs.split("valid")
    assert train.start + train.samples == valid.start
    assert train.samples > 8 * valid.samples > 0


def test_pieces_of_one_file_share_a_split(tmp_path):
    rng = np.random.default_rng(0)
    piece, pause = 0.1 * rng.standard_normal((RATE * 9, 1)), np.zeros((RATE * 3, 1))
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "mine" / name, np.concatenate([piece, pause, piece]), RATE)
    prepare(tmp_path / "mine", tmp_path / "out", RATE, 1, 0.5)
    splits = {}
    for song in Songs(tmp_path / "out").songs:
        splits.setdefault(song.name.split("#")[0], set()).add(song.split)
    assert len(splits) == 3 and all(len(split) == 1 for split in splits.values())


def test_sampling_is_repeatable_and_stays_in_its_split(mixed, tmp_path):
    prepare(mixed, tmp_path / "out", RATE, 1)
    songs = Songs(tmp_path / "out")
    first = songs.sample(np.random.default_rng(4), "train", 800, 6)
    assert first.shape == (6, 800, 1) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, songs.sample(np.random.default_rng(4), "train", 800, 6))
    with pytest.raises(ValueError, match="no train song has 999999 samples"):
        songs.sample(np.random.default_rng(0), "train", 999_999, 1)


def test_a_song_is_sampled_as_often_as_is_wanted(mixed, tmp_path):
    prepare(mixed, tmp_path / "out", RATE, 1)
    songs = Songs(tmp_path / "out")
    first, *others = songs.split("train")
    songs.oftener = {song.name: 1e-9 for song in others}
    song = songs.window(first, 0, first.samples)
    for window in songs.sample(np.random.default_rng(4), "train", 800, 6):
        inside = np.lib.stride_tricks.sliding_window_view(song[:, 0], 800)
        assert (inside == window[:, 0]).all(axis=1).any()
    assert songs.sample(np.random.default_rng(4), "train", 800, 0).shape == (0, 800, 1)


def test_a_window_outside_its_song_is_refused(mixed, tmp_path):
    prepare(mixed, tmp_path / "out", RATE, 1)
    songs = Songs(tmp_path / "out")
    song = songs.songs[0]
    for start in (-1, song.samples - 10):
        with pytest.raises(IndexError, match=song.name):
            songs.window(song, start, 11)


def test_a_folder_without_music_and_without_a_data_set_say_so(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("prepare:")]
    assert "no usable music" in lines[0] and "no folder" in lines[1]
    with pytest.raises(FileNotFoundError, match=r"model\.corpus\.prepare"):
        Songs(tmp_path / "out")


def test_the_command_prepares_and_names_what_it_skips(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--data", str(mixed), "--out", str(out), "--rate", str(RATE)]) == 0
    said = capsys.readouterr()
    assert "3 songs" in said.out and "broken.wav: skipped" in said.err
