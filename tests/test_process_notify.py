from __future__ import annotations

import socket
from pathlib import Path

from engine.process.notify import Notifier


def test_systemd_hears_what_it_asked_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.ready()
        notifier.alive("playing")
        notifier.stopping()
        said = [manager.recv(99).decode() for _ in range(3)]
    assert said == ["READY=1", "WATCHDOG=1\nSTATUS=playing", "STOPPING=1"]


def test_a_name_without_a_file_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0perpetuo-test-notify")
        Notifier({"NOTIFY_SOCKET": "@perpetuo-test-notify"}).ready()
        assert manager.recv(99) == b"READY=1"


def test_a_manager_that_does_not_listen_holds_nobody_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(5000):
            notifier.alive("playing")
    notifier.alive("gone")


def test_where_nobody_asked_nothing_is_said() -> None:
    Notifier({}).ready()
