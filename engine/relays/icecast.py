"""A feed to an Icecast server: Ogg/Opus by HTTP PUT, connected anew whenever that ends.

Opus comes from the feed as it is, so a relay costs next to nothing. While the feed is away the
relay sends silence, which keeps Icecast from sending its listeners away. Memory is bounded by what
the source keeps (10 s), the time of a stalled write by `stall_s`.
"""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from engine.errors import NetworkError, UsageError
from engine.relays.ogg import OggOpus, silence
from engine.relays.source import Source, retry_s
from engine.wire.client import Heard

OPUS_HZ = 48000
SILENT_SAMPLES = 4800
QUIET_S = 1.0
FRESH_PACKETS = 10
SEND_BUFFER_BYTES = 16 * 1024
SCHEMES = {"icecast": False, "icecasts": True}
CONTINUE = 100


@dataclass(frozen=True)
class Mount:
    """Where to send it."""

    host: str
    port: int
    path: str
    user: str
    password: str = field(repr=False)
    tls: bool = False
    name: str = "perpetuo"

    @classmethod
    def parse(cls, url: str, password: str | None = None) -> Mount:
        """Read icecast://USER:PASSWORD@HOST:PORT/MOUNT; UsageError says what it lacks.

        `password` is taken where the address has none; `icecasts` asks for TLS.
        """
        takes = "icecast://source:PASSWORD@HOST:8000/MOUNT"
        try:
            parts = urlsplit(url)
            port = parts.port or 8000
        except ValueError as error:
            raise UsageError(f"the address of the mount is broken ({error}): {takes}") from None
        known = parts.password if parts.password is not None else password
        lacks = {"a host": parts.hostname, "a mount": parts.path.strip("/"), "a password": known}
        if parts.scheme not in SCHEMES or not all(lacks.values()):
            missing = [name for name, value in lacks.items() if not value] or ["icecast://"]
            raise UsageError(f"the address of the mount lacks {', '.join(missing)}: {takes}")
        return cls(
            parts.hostname or "", port, parts.path, unquote(parts.username or "source"),
            unquote(known or ""), SCHEMES[parts.scheme],
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.host}:{self.port}{self.path}"

    def request(self) -> bytes:
        """The head of the PUT; a body without an end follows."""
        key = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        lines = (
            f"PUT {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}",
            f"Authorization: Basic {key}", "User-Agent: perpetuo", "Content-Type: audio/ogg",
            "Ice-Public: 0", f"Ice-Name: {self.name}", "Expect: 100-continue",
        )  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode()


class LostError(Exception):
    """The connection to Icecast has ended, or Icecast would not have it."""


class IcecastRelay:
    """Hands packets of a source on to one mount."""

    def __init__(
        self, mount: Mount, *, stall_s: float = 5.0, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """A write that takes longer than `stall_s` ends the connection."""
        self.connections = 0
        self._mount = mount
        self._stall_s = stall_s
        self._tell = tell

    async def run(self, source: Source) -> None:
        """Relay until cancelled; NetworkError for a wrong password, and what the source raises."""
        attempt = 0
        while True:
            began = self.connections
            try:
                await self._session(source)
            except (OSError, LostError) as error:
                attempt = 0 if self.connections > began else attempt + 1
                wait_s = retry_s(attempt)
                reason = str(error) or type(error).__name__
                self._tell(f"{self._mount}: {reason}; trying again in {wait_s:.1f} s")
                await asyncio.sleep(wait_s)
            source.forget(FRESH_PACKETS)

    async def _session(self, source: Source) -> None:
        first = await source.next()
        assert first is not None, "it was waited for"
        reader, writer = await self._connect()
        try:
            await self._ask(reader, writer)
            self.connections += 1
            self._tell(f"{self._mount}: connected")
            await self._send(source, first, reader, writer)
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = ssl.create_default_context() if self._mount.tls else None
        async with asyncio.timeout(self._stall_s):
            reader, writer = await asyncio.open_connection(
                self._mount.host, self._mount.port, ssl=tls
            )
        link: socket.socket = writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: a server that is gone is not waited for
            patience_ms = round(1000 * self._stall_s)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
        writer.transport.set_write_buffer_limits(SEND_BUFFER_BYTES)
        return reader, writer

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Have the mount; LostError with Icecast's words, NetworkError for a wrong password."""
        writer.write(self._mount.request())
        try:
            async with asyncio.timeout(self._stall_s):
                head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(maxsplit=2)[1])
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
            raise LostError("no answer of an Icecast server") from None
        if status == HTTPStatus.UNAUTHORIZED:
            raise NetworkError(f"{self._mount}: Icecast does not know this user and password")
        if status not in (CONTINUE, HTTPStatus.OK):
            line = head.partition(b"\r\n")[0].decode(errors="replace")
            raise LostError(f"Icecast refuses: {line}")

    async def _send(
        self, source: Source, first: Heard, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        """One Ogg stream from its head on, for as long as the format stays."""
        channels = first.header.channels
        stream = OggOpus(channels, random.getrandbits(32))
        packet: Heard | None = first
        writer.write(stream.head())
        while packet is None or packet.header.channels == channels:
            if reader.at_eof():
                raise LostError("Icecast closed the connection")
            writer.write(_pages(stream, packet, channels))
            async with asyncio.timeout(self._stall_s):
                await writer.drain()
            packet = await source.next(QUIET_S)
        raise LostError("the feed has other channels now")


def _pages(stream: OggOpus, packet: Heard | None, channels: int) -> bytes:
    """A packet as a page, or, where none came, as much silence as was waited for."""
    if packet is not None:
        header = packet.header
        return stream.packet(packet.payload, header.samples * OPUS_HZ // header.sample_rate_hz)
    count = round(QUIET_S * OPUS_HZ / SILENT_SAMPLES)
    return b"".join(stream.packet(silence(channels), SILENT_SAMPLES) for _ in range(count))
