import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import UsageError
from engine.sinks.file import FORMATS, FileSink
from engine.spec import AudioSpec


def tone(samples: int, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(np.arange(samples) / 20)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_written_is_read(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"out{suffix}"
    audio = tone(24000, channels)
    with FileSink(path, AudioSpec(24000, channels)) as sink:
        for block in np.array_split(audio, 5):
            sink.write(block)
        assert sink.written_samples == 24000
    read, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate_hz == 24000
    assert read.shape == audio.shape
    np.testing.assert_allclose(read, audio, atol=0.05 if suffix == ".ogg" else 1e-4)


def test_a_wav_is_valid_after_every_block(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    sink = FileSink(path, AudioSpec(24000, 1))
    for n in range(4):
        assert soundfile.info(path).frames == 1000 * n
        sink.write(tone(1000))
    sink.close()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_file_is_valid_after_an_interruption(
    tmp_path: Path, suffix: str, error: type[BaseException]
) -> None:
    path = tmp_path / f"out{suffix}"

    def interrupted() -> None:
        with FileSink(path, AudioSpec(24000, 1)) as sink:
            sink.write(tone(5000))
            raise error

    with pytest.raises(error):
        interrupted()
    assert soundfile.info(path).frames == 5000


SCRIPT = """
import sys, numpy as np
from engine.sinks.file import FileSink
from engine.spec import AudioSpec
sink = FileSink(sys.argv[1], AudioSpec(24000, 1))
while True:
    sink.write(np.full((2400, 1), 0.25, np.float32))
    print("written", flush=True)
"""


def test_a_wav_is_valid_after_kill(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    command = [sys.executable, "-c", SCRIPT, str(path)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    time.sleep(0)
    audio, _ = soundfile.read(path, dtype="float32")
    assert len(audio) >= 5 * 2400
    np.testing.assert_allclose(audio, 0.25, atol=1e-4)


def test_levels_beyond_full_scale_do_not_wrap(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with FileSink(path, AudioSpec(24000, 1)) as sink:
        sink.write(np.array([[2.0], [-2.0]], np.float32))
    audio, _ = soundfile.read(path)
    np.testing.assert_allclose(audio, [1, -1], atol=1e-3)


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.wav, \.flac, \.ogg"):
        FileSink(tmp_path / "out.mp3", AudioSpec(24000, 1))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        FileSink(tmp_path / "no" / f"out{suffix}", AudioSpec(24000, 1))


def test_a_full_disk_is_one_line_and_the_file_is_valid(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "out.wav"
    with FileSink(path, AudioSpec(24000, 1)) as sink:
        sink.write(tone(1000))

        def full(_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(sink._writer, "write", full)
            with pytest.raises(UsageError, match=r"beyond 1,000 samples: No space left"):
                sink.write(tone(1000))
    assert soundfile.info(path).frames == 1000


def test_a_wav_ends_before_its_format_does(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("engine.sinks.file.MOST_WAV_BYTES", 3000)
    with FileSink(tmp_path / "out.wav", AudioSpec(24000, 1)) as sink:
        sink.write(tone(1000))
        with pytest.raises(UsageError, match=r"at most 4 GiB; write a \.flac"):
            sink.write(tone(1000))
