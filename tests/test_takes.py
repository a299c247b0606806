from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import TakeError
from engine.takes import MOST_S, read_take


def tone(seconds: float, rate_hz: int, channels: int = 1, hz: float = 300.0) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def written(path: Path, audio: np.ndarray, rate_hz: int, **more: str) -> Path:
    soundfile.write(path, audio, rate_hz, **more)
    return path


@pytest.mark.parametrize("name", ["take.wav", "take.flac", "take.ogg", "take.aiff"])
def test_what_soundfile_reads_is_read(tmp_path: Path, name: str) -> None:
    take = read_take(written(tmp_path / name, tone(1, 24000), 24000), 24000, 1)
    assert take.audio.shape == (24000, 1)
    assert take.audio.dtype == np.float32
    assert take.audio.flags.c_contiguous
    assert take.notes == []


@pytest.mark.parametrize(
    ("rate_hz", "found", "channels"), [(8000, 1, 1), (192000, 6, 1), (192000, 6, 2), (44100, 1, 2)]
)
def test_rates_and_channels_are_made_to_fit(
    tmp_path: Path, rate_hz: int, found: int, channels: int
) -> None:
    path = written(tmp_path / "take.wav", tone(0.5, rate_hz, found), rate_hz)
    take = read_take(path, 24000, channels)
    assert take.audio.shape == (12000, channels)
    spectrum = np.abs(np.fft.rfft(take.audio[:, 0] * np.hanning(12000)))
    assert abs(np.argmax(spectrum) * 2 - 300) < 10
    assert np.abs(take.audio).max() == pytest.approx(0.5, abs=0.02)
    assert f"resampled from {rate_hz} to 24000 Hz" in take.notes
    assert any("channels" in note for note in take.notes) is (found != channels)


def test_a_tenth_of_a_second_is_enough(tmp_path: Path) -> None:
    take = read_take(written(tmp_path / "take.wav", tone(0.1, 8000), 8000), 24000, 1)
    assert take.audio.shape == (2400, 1)


def test_samples_that_are_not_numbers_are_mended_and_told(tmp_path: Path) -> None:
    audio = tone(1, 24000)
    audio[100:103] = np.nan
    audio[200] = np.inf
    path = written(tmp_path / "take.wav", audio, 24000, subtype="FLOAT")
    take = read_take(path, 24000, 1)
    assert np.isfinite(take.audio).all()
    assert take.notes == ["4 samples were not finite numbers and were set to 0"]


def test_levels_beyond_full_scale_are_scaled_down(tmp_path: Path) -> None:
    path = written(tmp_path / "take.wav", 8 * tone(1, 24000), 24000, subtype="FLOAT")
    take = read_take(path, 24000, 1)
    assert np.abs(take.audio).max() == pytest.approx(1.0)
    assert take.notes == ["scaled down by 12.0 dB to full scale"]


def test_only_the_end_of_a_long_take_is_read(tmp_path: Path) -> None:
    audio = np.zeros((round(MOST_S + 5) * 8000, 1), np.float32)
    audio[-8000:] = 0.5
    take = read_take(written(tmp_path / "take.wav", audio, 8000), 8000, 1)
    assert take.audio.shape == (MOST_S * 8000, 1)
    assert take.audio[-1] == pytest.approx(0.5, abs=1e-3)
    assert take.notes == ["the last 60 s of 65.0 s"]


def test_a_silent_take_is_allowed_and_told(tmp_path: Path) -> None:
    take = read_take(written(tmp_path / "take.wav", 0 * tone(1, 24000), 24000), 24000, 1)
    assert take.notes == ["it is silent: what follows is free"]


def refusal(path: Path) -> str:
    with pytest.raises(TakeError) as caught:
        read_take(path, 24000, 1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_continued_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nothing.wav")
    assert "is not a file" in refusal(tmp_path)
    (tmp_path / "empty.wav").write_bytes(b"")
    assert "not audio that can be read" in refusal(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("I am a poem, not a song.\n" * 100)
    assert "not audio that can be read" in refusal(tmp_path / "text.wav")
    empty = written(tmp_path / "none.wav", np.zeros((0, 1), "f4"), 24000)
    assert "holds no samples" in refusal(empty)
    slow = written(tmp_path / "slow.wav", tone(1, 500), 500)
    assert "a rate of 500 Hz" in refusal(slow)
    one = written(tmp_path / "one.wav", np.zeros((1, 1), "f4"), 192000)
    assert "too short" in refusal(one)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = written(tmp_path / "take.wav", tone(1, 8000), 8000)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(soundfile, "SoundFile", refuse)
    assert "Permission denied" in refusal(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_never_worse(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["a.wav", "a.flac", "a.ogg"]))
    path = written(tmp_path / name, tone(0.2, 24000, 2), 24000)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        take = read_take(path, 24000, 1)
    except TakeError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(take.audio).all()
        assert np.abs(take.audio).max() <= 1.0


def test_music_goes_on_from_before_a_fading_end(tmp_path: Path) -> None:
    t = np.arange(4 * 8000) / 8000
    sound = 0.5 * np.sin(2 * np.pi * 440 * t)
    sound[2 * 8000 :] *= np.exp(-8 * (t[2 * 8000 :] - 2))
    soundfile.write(tmp_path / "fades.wav", np.concatenate([sound, np.zeros(8000)]), 8000)
    take = read_take(tmp_path / "fades.wav", 8000, 1)
    assert 2.0 <= take.audio.shape[0] / 8000 <= 2.8
    assert any("where the music fades" in note for note in take.notes)


def test_a_quiet_moment_inside_and_a_short_take_are_kept(tmp_path: Path) -> None:
    sound = np.concatenate([np.full(8000, 0.5), np.zeros(8000), np.full(8000, 0.5)])
    soundfile.write(tmp_path / "pause.wav", sound, 8000)
    soundfile.write(tmp_path / "short.wav", sound[:80], 8000)
    assert read_take(tmp_path / "pause.wav", 8000, 1).audio.shape[0] == 24000
    assert read_take(tmp_path / "short.wav", 8000, 1).audio.shape[0] == 80
