from __future__ import annotations

import pytest
from test_device import FakePortAudio

from engine import cli
from engine.backends import standin
from engine.commands import play
from engine.sinks import device


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setattr(device, "_sounddevice", lambda: fake)
    return fake


def test_devices_are_printed_with_the_default_starred(
    fake: FakePortAudio, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["devices"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["0", "Speakers"]
    assert second.startswith("*  1  Speakers of the hall")


def test_a_device_that_takes_no_audio_is_given_up(
    fake: FakePortAudio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(play, "LIFE_S", 0.4)
    assert cli.run(["play", "--backend", "standin"]) == 4
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("perpetuo plays on Speakers of the hall")
    assert said[-1].startswith("perpetuo: ") and "perpetuo serve" in said[-1]


def test_a_machine_without_outputs_is_told_before_anything_loads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = FakePortAudio(names=("no",))
    monkeypatch.setattr(silent, "query_devices", list)
    monkeypatch.setattr(device, "_sounddevice", lambda: silent)
    monkeypatch.setattr(play, "open_stream", pytest.fail)
    for command in ("play", "devices"):
        assert cli.run([command]) == 4
        words = capsys.readouterr().err
        assert words.count("\n") == 1 and "perpetuo serve" in words


def test_a_generator_that_only_fails_ends_the_command(
    fake: FakePortAudio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = standin.Faults(graph="velocity", error=RuntimeError("out of order"))
    monkeypatch.setattr(standin, "Faults", lambda: broken)
    assert cli.run(["play", "--backend", "standin"]) == 1
    assert "no music can be made: out of order" in capsys.readouterr().err
