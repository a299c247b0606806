"""What the watchers have in common."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from engine.commands import watching
from engine.commands.watching import Report


def test_systemd_is_told_once_that_it_is_ready_and_again_and_again_how_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "TELL_S", -1.0)  # at every look
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        report = Report()
        for beat_s in (0.0, 7.0, 8.0):
            report.look(beat_s, "engine 1, feed 0")
        assert report.ready
        report.end()
        alive = "WATCHDOG=1\nSTATUS=playing; started again: engine 1, feed 0"
        said = [manager.recv(999).decode() for _ in range(5)]
    assert said == [alive, "READY=1", alive, alive, "STOPPING=1"]
