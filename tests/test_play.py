from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import portaudio
import pytest
from portaudio import FakePortAudio
from sound_server import SoundServer

from engine import cli
from engine.backends import standin
from engine.commands import play
from engine.sinks import device_list
from engine.sinks.device_list import Device, outputs

SHARED = Path("/dev/shm")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Has another PortAudio played, in children."""
    return lambda other: monkeypatch.setattr(device_list, "portaudio", other)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """Two outputs."""
    found = outputs(FakePortAudio())
    monkeypatch.setattr(device_list, "list_devices", lambda: found)
    return found


def test_devices_are_printed_with_their_latency_and_the_default_starred(
    two: list[Device], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["devices"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["0", "Speakers"]
    assert second.startswith("*  1  Speakers of the hall")
    assert "2 channels" in second and "10 to 40 ms" in second


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--channels", "3,4"], "channels 1 to 2"),
        (["--device", "kazoo"], "0: Speakers; 1: Speakers of the hall"),
    ],
)
def test_a_wrong_device_is_one_line_before_anything_loads(
    two: list[Device], given: list[str], words: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(play, "open_stream", pytest.fail)
    assert cli.run(["play", *given]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said


@pytest.mark.parametrize("text", ["0", "a", "1,,2", "2,2", ""])
def test_channels_are_numbers_from_1_each_once(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["play", "--channels", text]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--channels" in said


def test_a_machine_without_outputs_is_told_before_anything_loads(
    library: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    library(portaudio.none)
    monkeypatch.setattr(play, "open_stream", pytest.fail)
    for command in ("play", "devices"):
        assert cli.run([command]) == 4
        words = capsys.readouterr().err
        assert words.count("\n") == 1 and "perpetuo serve" in words


def test_a_device_that_cannot_be_opened_ends_the_command(
    library: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    library(portaudio.refusing)
    assert cli.run(["play", "--backend", "standin"]) == 4
    words = capsys.readouterr().err
    assert words.count("\n") == 1 and "Invalid sample rate" in words and "perpetuo serve" in words


def test_a_generator_that_only_fails_ends_the_command(
    library: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    library(portaudio.steady)
    broken = standin.Faults(graph="velocity", error=RuntimeError("out of order"))
    monkeypatch.setattr(standin, "Faults", lambda: broken)
    assert cli.run(["play", "--backend", "standin"]) == 1
    assert "no music can be made: out of order" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_jack_ctrl_c_leaves_nothing_behind(number: signal.Signals) -> None:
    with SoundServer() as server:
        before = set(SHARED.iterdir()) if SHARED.exists() else set()
        playing = server.command(
            sys.executable, "-m", "engine", "play", "--backend", "standin", "--channels", "2"
        )
        assert playing.stderr is not None
        line = playing.stderr.readline()
        assert "perpetuo plays on system" in line, playing.communicate()
        os.killpg(playing.pid, number)  # as a terminal does: to the children, too
        out, errors = playing.communicate(timeout=60)
        assert (out, errors, playing.returncode) == ("", "", 128 + number)
        left = set(SHARED.iterdir()) - before if SHARED.exists() else set()
        assert not [path for path in left if "jack" not in path.name]
