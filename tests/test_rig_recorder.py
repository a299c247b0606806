import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import UsageError
from engine.rig import recorder as module
from engine.rig.flac import LiveFlac
from engine.rig.recorder import Recorder, fresh_name
from engine.spec import AudioSpec

AUDIO = AudioSpec(24000, 1)


def block(level: float = 0.25) -> np.ndarray:
    return np.full((2400, 1), level, np.float32)


def test_blocks_between_start_and_stop_are_in_the_file(tmp_path: Path) -> None:
    recorder = Recorder(AUDIO)
    recorder.take(block(0.9))
    recorder.start(tmp_path / "a.flac")
    audio = block()
    for _ in range(5):
        recorder.take(audio)
        audio[:] = 0.25  # the maker may use its block again
    recorder.stop()
    recorder.take(block(0.9))
    read, _ = soundfile.read(tmp_path / "a.flac")
    assert len(read) == recorder.samples == 5 * 2400
    np.testing.assert_allclose(read, 0.25, atol=1e-4)
    assert not recorder.recording


def test_a_new_recording_completes_the_one_before(tmp_path: Path) -> None:
    recorder = Recorder(AUDIO)
    for name in ("a", "b"):
        recorder.start(tmp_path / f"{name}.flac")
        recorder.take(block())
    recorder.stop()
    assert soundfile.info(tmp_path / "a.flac").frames == 2400
    assert soundfile.info(tmp_path / "b.flac").frames == 2400
    with pytest.raises(UsageError, match="is there already"):
        recorder.start(tmp_path / "a.flac")
    assert not recorder.recording


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    recorder = Recorder(AUDIO)
    recorder.start(tmp_path / "a.flac")
    for _ in range(4):
        recorder.take(block())
    real, left = LiveFlac._mend, [1]

    def full(file: LiveFlac) -> None:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        real(file)

    monkeypatch.setattr(LiveFlac, "_mend", full)
    deadline_s = time.monotonic() + 20
    while recorder.recording:
        assert time.monotonic() < deadline_s
        recorder.take(block())
        time.sleep(0.005)
    monkeypatch.undo()
    recorder.stop()
    assert "No space left on device" in recorder.trouble
    assert soundfile.info(tmp_path / "a.flac").frames > 0
    recorder.start(tmp_path / "b.flac")
    assert recorder.trouble == ""
    recorder.stop()


def test_a_disk_that_hangs_costs_bounded_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING_S", 1.0)
    monkeypatch.setattr(LiveFlac, "write", lambda *_: time.sleep(0.2))
    recorder = Recorder(AUDIO)
    recorder.start(tmp_path / "a.flac")
    for _ in range(100):
        recorder.take(block())
    assert recorder.dropped_samples >= 80 * 2400
    recorder.stop()


def test_a_fresh_name_is_not_taken(tmp_path: Path) -> None:
    first = fresh_name(tmp_path)
    first.touch()
    second = fresh_name(tmp_path)
    assert first != second
    assert second.suffix == ".flac"
    assert not second.exists()
