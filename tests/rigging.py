"""What the rig's tests share: a performer's OSC remote on loopback, and waiting for things."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen within 20 s"
        time.sleep(0.005)


class Remote:
    """Sends to a rig, and hears what it tells."""

    def __init__(self, port: int) -> None:
        self.client = SimpleUDPClient("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(20)
        self._unheard: list[OscMessage] = []
        self.port = self._socket.getsockname()[1]

    def say(self, path: str, *arguments: Any) -> None:
        self.client.send_message(f"/perpetuo{path}", list(arguments))

    def hear(self, path: str, *arguments: Any) -> list[Any]:
        """The arguments of the first message of this path that begins with these arguments.

        Messages that came before it wait to be heard. Meters never cease, so that silence alone
        would not tell that it does not come.
        """
        deadline_s = time.monotonic() + 20
        for place, message in enumerate(self._messages()):
            wanted = list(arguments) == message.params[: len(arguments)]
            if message.address == f"/perpetuo{path}" and wanted:
                del self._unheard[place]
                return message.params
            assert time.monotonic() < deadline_s, f"{path} {arguments} was not told within 20 s"
        raise AssertionError("there are always more messages")

    def _messages(self) -> Iterator[OscMessage]:
        yield from self._unheard
        while True:
            self._unheard.append(OscMessage(self._socket.recv(65536)))
            yield self._unheard[-1]

    def close(self) -> None:
        self._socket.close()
        self.client._sock.close()
