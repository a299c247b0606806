"""Plays one case against a server, on a plain TCP connection: what the suite's client would do.

A case calls `sendFrame`, `sendClose` and their like here, and hears of messages, pings and pongs
by its own methods. Its `str` are bytes as Latin-1 characters, and so is what it is told.
"""

# ruff: noqa: D102, N802 – the names are the suite's

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

OPEN, CLOSING, CLOSED = "open", "closing", "closed"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GOODBYE_S = 3.0
MOST_S = 1100.0
NORMAL, GOING_AWAY = 1000, 1001


@dataclass(frozen=True)
class Server:
    """Where a server listens, and how it speaks."""

    port: int
    path: str = "/"
    subprotocol: str | None = None
    echoes: bool = True
    """False: it answers every message with an error of `perpetuo.v1`."""


@dataclass(frozen=True)
class Outcome:
    """How a case went, in the suite's words."""

    case: str
    behaviour: str
    close: str
    code: int | None
    why: str

    @property
    def failed(self) -> bool:
        """By the suite's own colours: red in what was said or in how it was closed."""
        return self.behaviour == "FAILED" or self.close in ("FAILED", "UNCLEAN")

    @property
    def kind(self) -> str:
        """FAILED, NON-STRICT, INFORMATIONAL or OK; an unusual close code is no failure."""
        if self.failed:
            return "FAILED"
        return "NON-STRICT" if self.close == "WRONG CODE" else self.behaviour


class Player:
    """The `p` of a case."""

    CLOSE_STATUS_CODE_NORMAL = 1000
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = 1002
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1007

    def __init__(self, server: Server) -> None:
        self.state = CLOSED
        self.factory = self
        self.isServer = False
        self.connectionWasOpen = self.closedByMe = self.failedByMe = False
        self.droppedByMe = self.wasClean = False
        self.remoteCloseCode: int | None = None
        self.remoteCloseReason: str | None = None
        self.localCloseReason: str | None = None
        self.createWirelog = False
        self.autoFragmentSize = 0
        self.txFrameStats: Counter[int] = Counter()
        self.case: Any = None
        self._server = server
        self._timers: list[asyncio.TimerHandle] = []
        self._held: list[bytes] = []
        self._kind = TEXT
        self._answered = 0
        self._streaming = False

    async def play(self, case: type[Any]) -> Outcome:
        """From the handshake to the end of the connection."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        self.case = case(self)
        self.case.compare = lambda one, other: one == other  # pickles of texts may differ
        try:
            await self._shake_hands(reader)
            self.case.onOpen()
            async with asyncio.timeout(MOST_S):
                await self._hear(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self.state = CLOSED
            for timer in self._timers:
                timer.cancel()
            self._writer.close()
        self.case.onConnectionLost(self.failedByMe)
        name = case.__name__.removeprefix("Case").replace("_", ".")
        return Outcome(
            name, self.case.behavior, self.case.behaviorClose, self.remoteCloseCode,
            f"{self.case.result} {self.case.resultClose}",
        )  # fmt: skip

    async def _shake_hands(self, reader: asyncio.StreamReader) -> None:
        lines = [
            f"GET {self._server.path} HTTP/1.1", f"Host: 127.0.0.1:{self._server.port}",
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}",
        ]  # fmt: skip
        if self._server.subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {self._server.subprotocol}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " in head.partition(b"\r\n")[0]:
            self.state, self.connectionWasOpen = OPEN, True

    # ---- what is heard ----------------------------------------------------------------------

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
            payload = await reader.readexactly(size)
            if not self._take(first & 15, bool(first & 0x80), payload):
                return

    def _take(self, opcode: int, last: bool, payload: bytes) -> bool:
        """One frame; False at the end of the connection."""
        if opcode == CLOSE:
            return self._take_close(payload)
        if opcode == PING:
            self.sendFrame(PONG, _words(payload))
            if self._server.echoes:
                self.case.onPing(_words(payload))
        elif opcode == PONG:
            self.case.onPong(_words(payload))
        else:
            self._kind = opcode or self._kind
            self._held.append(payload)
            if last:
                whole, self._held = b"".join(self._held), []
                self._take_message(whole)
        return True

    def _take_message(self, whole: bytes) -> None:
        """An echo as it is; of a feed, its n-th error is taken for the n-th message expected."""
        if self._server.echoes:
            self.case.onMessage(_words(whole), self._kind == BINARY)
            return
        if self._kind == TEXT and json.loads(whole)["type"] == "error":
            expected = [one for one in self.case.expected.get("OK", ()) if one[0] == "message"]
            if self._answered < len(expected):
                _, payload, binary = expected[self._answered]
                self._answered += 1
                self.case.onMessage(payload, binary)
            else:
                self.case.onMessage("an answer to nothing", False)

    def _take_close(self, payload: bytes) -> bool:
        self.remoteCloseCode = int.from_bytes(payload[:2]) if len(payload) >= 2 else None
        self.remoteCloseReason = _words(payload[2:])
        self.wasClean = True
        if self.state == OPEN:
            self._send(CLOSE, payload[:2])
        self.state = CLOSING
        self._later(GOODBYE_S, self._drop)  # the server hangs up first
        return True

    def _drop(self) -> None:
        self.droppedByMe = True
        self._writer.close()

    # ---- what a case may do -----------------------------------------------------------------

    def sendFrame(
        self, opcode: int, payload: str = "", fin: bool = True, rsv: int = 0,
        mask: bytes | None = None, payload_len: int | None = None, chopsize: int | None = None,
        sync: bool = False,
    ) -> None:  # fmt: skip
        data = payload.encode("latin-1")
        if payload_len is not None:
            data = (data * (payload_len // len(data) + 1))[:payload_len] if data else b""
        self._send(opcode, data, fin=fin, rsv=rsv, chop=chopsize)

    def sendMessage(
        self, payload: str, isBinary: bool = False, fragmentSize: int | None = None,
    ) -> None:  # fmt: skip
        size = fragmentSize or self.autoFragmentSize or max(1, len(payload))
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [""]
        for number, part in enumerate(parts):
            opcode = 0 if number else BINARY if isBinary else TEXT
            self.sendFrame(opcode, part, fin=number == len(parts) - 1)

    def beginMessage(self, isBinary: bool = False) -> None:
        self._kind_out, self._streaming = BINARY if isBinary else TEXT, False

    def beginMessageFrame(self, length: int) -> None:
        opcode, self._streaming = 0 if self._streaming else self._kind_out, True
        self._write(_head(opcode, False, 0, length) + bytes(4))

    def sendMessageFrameData(self, payload: str, sync: bool = False) -> None:
        self._write(payload.encode("latin-1"))

    def endMessage(self) -> None:
        self._send(0, b"")

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: str | None = None,
    ) -> None:  # fmt: skip
        payload = b"" if code is None else code.to_bytes(2)
        self._send(CLOSE, payload + (reasonUtf8 or "").encode("latin-1"))
        self.closedByMe, self.state = True, CLOSING
        self.localCloseReason = reasonUtf8
        self._later(GOODBYE_S, self._drop)

    def sendClose(self, code: int | None = None, reason: str | None = None) -> None:
        if self.state == OPEN:
            self.sendCloseFrame(code, reason)

    def continueLater(self, delay: float, what: Callable[[], None], tag: str | None = None) -> None:
        self._later(delay, lambda: what() if self.state != CLOSED else None)

    def closeAfter(self, delay: float) -> None:
        self._later(delay, lambda: self.sendClose(NORMAL))

    def killAfter(self, delay: float) -> None:
        self._later(delay, self._fail)

    def enableWirelog(self, enable: bool) -> None:
        pass

    def _fail(self) -> None:
        self.failedByMe = True
        if self.state == OPEN:
            self.sendCloseFrame(GOING_AWAY)
        else:
            self._drop()

    # ---- the wire ---------------------------------------------------------------------------

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, what))

    def _send(
        self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0, chop: int | None = None
    ) -> None:
        self.txFrameStats[opcode] += 1
        mask = secrets.token_bytes(4)
        frame = _head(opcode, fin, rsv, len(payload)) + mask + masked(payload, mask)
        for at in range(0, len(frame), chop or len(frame)):
            self._write(frame[at : at + (chop or len(frame))])

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)


def masked(payload: bytes, mask: bytes) -> bytes:
    """Octet i xor mask[i mod 4] (RFC 6455, 5.3)."""
    repeated = np.resize(np.frombuffer(mask, np.uint8), len(payload))
    return bytes(np.frombuffer(payload, np.uint8) ^ repeated)


def _head(opcode: int, fin: bool, rsv: int, size: int) -> bytes:
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        return first + bytes([0x80 | size])
    wide = (126, 2) if size < 65536 else (127, 8)
    return first + bytes([0x80 | wide[0]]) + size.to_bytes(wide[1])


def _words(payload: bytes) -> str:
    return payload.decode("latin-1")
