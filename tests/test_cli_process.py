"""The command in a process of its own: signals, ports, and what only a fresh process shows."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import soundfile

RATE_HZ = 24000
LIVE = Path(__file__).parent.parent / "engine" / "bundles" / "live"


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_until_written(path: Path) -> None:
    for _ in range(600):
        if path.exists() and path.stat().st_size > 50_000:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} does not grow")


def test_info_plays_the_golden_chunks() -> None:
    """In a process of its own: ONNX Runtime changes how a thread rounds."""
    said, words = start("info", LIVE).communicate(timeout=60)
    assert re.search(r"golden\n  latents  2 chunks differ by \S+, allowed 0\.(001|2)", said), words


# ---- signals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_whole_file(
    tmp_path: Path, suffix: str, number: signal.Signals, code: int
) -> None:
    path = tmp_path / f"out.{suffix}"
    process = start("render", "--backend", "standin", "-o", path, "--seconds", 86400)
    wait_until_written(path)
    os.kill(process.pid, number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in words
    audio, _ = soundfile.read(path)
    assert len(audio) == soundfile.info(path).frames > RATE_HZ


def test_ctrl_c_twice_is_like_once(tmp_path: Path) -> None:
    path = tmp_path / "out.flac"
    process = start("render", "--backend", "standin", "-o", path, "--seconds", 86400)
    wait_until_written(path)
    for _ in range(5):
        os.kill(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130 and words == ""
    assert soundfile.info(path).frames > RATE_HZ


# ---- serve -----------------------------------------------------------------------------------


def test_serve_answers_and_ends_at_ctrl_c() -> None:
    process = start("serve", "--backend", "standin", "--port", 0)
    assert process.stdout is not None
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url is not None
    with urllib.request.urlopen(url[0] + "info", timeout=30) as answer:
        info = json.load(answer)
    assert info["feed"].endswith("/feed") and info["subprotocol"] == "perpetuo.v1"
    os.kill(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130 and words == ""


def test_a_taken_port_is_one_line_and_exit_5() -> None:
    first = start("serve", "--backend", "standin", "--port", 0)
    assert first.stdout is not None
    port = re.search(r":(\d+)/", first.stdout.readline())
    assert port is not None
    second = start("serve", "--backend", "standin", "--port", port[1])
    _, words = second.communicate(timeout=60)
    first.terminate()
    first.communicate(timeout=60)
    assert second.returncode == 5 and words.count("\n") == 1 and port[1] in words
    assert first.returncode == 143


def test_a_certificate_that_is_none_is_exit_5(tmp_path: Path) -> None:
    process = start(
        "serve", "--backend", "standin", "--port", 0, "--tls-cert", tmp_path / "none.pem"
    )
    _, words = process.communicate(timeout=60)
    assert process.returncode == 5 and words.count("\n") == 1 and "none.pem" in words
