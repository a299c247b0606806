"""Words to systemd: ready, alive, status. Nothing happens where nobody asked for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Writes to the socket that NOTIFY_SOCKET names."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        place = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + place[1:] if place.startswith("@") else place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if place else None
        if self._socket is not None:
            self._socket.setblocking(False)  # a manager that does not listen holds nobody up
        watched = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(watched) / 1e6 if watched.isdecimal() else None
        """Within this time `alive` must be said; None where nobody watches."""

    def ready(self) -> None:
        """Listeners may come."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """All is well, and how it goes in a line."""
        self._say(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if self._socket is not None:
            with suppress(OSError):  # a manager that is gone needs no words
                self._socket.sendto(words.encode(), self._address)
