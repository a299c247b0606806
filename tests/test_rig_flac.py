import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import UsageError
from engine.rig.flac import LiveFlac
from engine.spec import AudioSpec

ROOT = Path(__file__).parent.parent
WRITING = """
import sys, numpy as np
from engine.rig.flac import LiveFlac
from engine.spec import AudioSpec
file = LiveFlac(__import__("pathlib").Path(sys.argv[1]), AudioSpec(24000, 2))
chance = np.random.default_rng(0)
while True:
    file.write(chance.uniform(-0.9, 0.9, (int(sys.argv[2]), 2)).astype(np.float32))
    print(file.samples, flush=True)
"""


def music(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (samples, channels)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 4096, 4097, 50_000])
def test_what_was_written_is_read(tmp_path: Path, samples: int, channels: int) -> None:
    audio = music(samples, channels)
    file = LiveFlac(tmp_path / "a.flac", AudioSpec(24000, channels))
    for block in np.array_split(audio, 7):
        file.write(block)
    file.close()
    read, rate_hz = soundfile.read(tmp_path / "a.flac", dtype="float32", always_2d=True)
    assert rate_hz == 24000
    assert file.samples == samples
    np.testing.assert_allclose(read, audio, atol=1e-4)


def test_the_file_is_valid_after_every_block(tmp_path: Path) -> None:
    audio, path = music(60_000), tmp_path / "a.flac"
    file = LiveFlac(path, AudioSpec(24000, 1))
    for start in range(0, 60_000, 1500):
        file.write(audio[start : start + 1500])
        written = start + 1500
        if not path.exists():
            assert written < 4097
            continue
        read, _ = soundfile.read(path, dtype="float32", always_2d=True)
        assert written - 2 * 4096 < len(read) <= written
        np.testing.assert_allclose(read, audio[: len(read)], atol=1e-4)
    file.close()


@pytest.mark.parametrize("block", [480, 7680])
def test_the_file_is_valid_after_kill(tmp_path: Path, block: int) -> None:
    path = tmp_path / "a.flac"
    command = [sys.executable, "-c", WRITING, str(path), str(block)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        written = 0
        while written < 40_000:
            written = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        written = int((process.stdout.read().split() or [written])[-1])
    info = soundfile.info(path)
    assert (info.samplerate, info.channels) == (24000, 2)
    read, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert len(read) == info.frames > written - 2 * 4096
    chance = np.random.default_rng(0)
    said = np.concatenate(
        [chance.uniform(-0.9, 0.9, (block, 2)) for _ in range(len(read) // block + 1)]
    )
    np.testing.assert_allclose(read, said[: len(read)], atol=1e-4)


def test_a_full_disk_leaves_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    code = WRITING.replace("while True", "import resource\nimport signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\nwhile True")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), "2400"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    written = int(done.stdout.split()[-1])
    read, _ = soundfile.read(path)
    assert 30_000 < len(read) <= written + 2400
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000


def test_nothing_is_written_over_and_a_bad_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"music")
    with pytest.raises(UsageError, match="is there already"):
        LiveFlac(tmp_path / "a.flac", AudioSpec(24000, 1))
    with pytest.raises(UsageError, match="cannot be written"):
        LiveFlac(tmp_path / "no" / "a.flac", AudioSpec(24000, 1))
    file = LiveFlac(tmp_path / "b.flac", AudioSpec(24000, 1))
    file.close()
    assert not (tmp_path / "b.flac").exists()
