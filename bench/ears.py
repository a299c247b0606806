"""Many listeners in one process, of whom it does not matter how fast it is.

When a packet came is what the kernel noted as it took the packet in (SO_TIMESTAMPNS), not when
Python got round to it: over loopback that is the moment at which the feed sent it. So the other
ends may be busy without being what is measured, as long as each is read before its next packet.
"""

from __future__ import annotations

import base64
import secrets
import select
import socket
import struct
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from engine.wire.packets import HEADER_BYTES, MAGIC, PacketHeader

SO_TIMESTAMPNS = 35
"""Of Linux, where Python has no name for it; what comes with data has the same number."""
STAMP = struct.Struct("@ll")
READ_BYTES = 65536
SMALL_BYTES = 4096
TURN_S = 0.05


class Ear:
    """One listener: says hello, and notes when packets came, by the clock of the kernel."""

    def __init__(self, address: str, codec: str, *, small: bool = False) -> None:
        """Connects; `small`: with a buffer that is full as soon as nobody reads."""
        parts = urlsplit(address)
        self.link = socket.socket()
        self.link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if small:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        self.link.connect((parts.hostname, parts.port))
        self.link.sendall(_request(parts.netloc))
        self.link.setblocking(False)
        self.record = Record()
        self.stalled = False
        self._codec = codec
        self._held = b""
        self._open = False

    def read(self) -> bool:
        """Take what is there; False where the connection has ended."""
        try:
            data, beside, _, _ = self.link.recvmsg(READ_BYTES, socket.CMSG_SPACE(STAMP.size))
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.record.gone = True
            return False
        now_s = time.time()
        self._take(data, stamp_s(beside, now_s), now_s)
        return True

    def close(self) -> None:
        """Hang up."""
        self.link.close()

    def _take(self, data: bytes, came_s: float, now_s: float) -> None:
        """Take frames apart; note the packets among them."""
        self._held += data
        if not self._open:
            head, found, rest = self._held.partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head.partition(b"\r\n")[0], head[:80]
            self._open, self._held = True, rest
            self.link.send(_masked(0x81, b'{"type":"hello","codec":"%s"}' % self._codec.encode()))
        while (frame := self._frame()) is not None:
            if frame[:2] == MAGIC and len(frame) >= HEADER_BYTES:
                self.record.note(PacketHeader.unpack(frame).sequence, came_s, now_s)

    def _frame(self) -> bytes | None:
        """The payload of the next whole frame of the server; pings are answered."""
        if len(self._held) < 2:
            return None
        size, at = self._held[1] & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(self._held[2 : 2 + wide]), 2 + wide
        if len(self._held) < at + size:
            return None
        kind, payload = self._held[0] & 15, self._held[at : at + size]
        self._held = self._held[at + size :]
        if kind == 9:
            self.link.send(_masked(0x8A, payload))
        return payload


class Record:
    """What one listener heard."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.before_s: list[float] = []  # times before anybody was stalled
        self.read_late_s: list[float] = []  # from the kernel's stamp to here
        self.missed = 0
        self.gone = False
        self._sequence: int | None = None

    def note(self, sequence: int, came_s: float, now_s: float) -> None:
        """A packet."""
        if self._sequence is not None:
            self.missed += sequence - self._sequence - 1
        self._sequence = sequence
        self.times_s.append(came_s)
        self.read_late_s.append(now_s - came_s)

    def forget(self) -> None:
        """All times so far."""
        self.times_s, self.before_s, self.read_late_s = [], [], []


def stamp_s(beside: Iterable[tuple[int, int, bytes]], now_s: float) -> float:
    """The kernel's time of what was read last, s since 1970; `now_s` where it gives none."""
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(data) >= STAMP.size:
            seconds, nanoseconds = STAMP.unpack(data[: STAMP.size])
            return float(seconds + nanoseconds / 1e9)
    return now_s


def attend(ears: Iterable[Ear], seconds: float) -> None:
    """Read all who are not stalled, as anything comes, for so long."""
    listening = {ear.link.fileno(): ear for ear in ears if not (ear.stalled or ear.record.gone)}
    end_s = time.monotonic() + seconds
    with select.epoll() as poll:
        for number in listening:
            poll.register(number, select.EPOLLIN)
        while time.monotonic() < end_s:
            for number, _ in poll.poll(TURN_S):
                if not listening[number].read():
                    poll.unregister(number)


def _request(host: str) -> bytes:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = (
        "GET /feed HTTP/1.1", f"Host: {host}", "Upgrade: websocket",
        "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: perpetuo.v1", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def _masked(first: int, payload: bytes) -> bytes:
    """A short frame of a client; a mask of zeros is one, too."""
    return bytes([first, 0x80 | len(payload)]) + b"\0\0\0\0" + payload
