"""Ogg/Opus as RFC 7845 has it, without IO: Opus packets in, pages out, a page for each packet."""

from __future__ import annotations

import struct

PRE_SKIP = 3840
"""Samples at 48 kHz that a player drops first: 80 ms, in which a decoder finds into a stream."""

VENDOR = b"perpetuo"
FIRST, LAST = 2, 4
NO_PACKET_ENDS = -1
_PAGE = struct.Struct("<4sBBqIII")
_CRC_AT = 22
_POLYNOMIAL = 0x04C11DB7


class OggOpus:
    """One logical stream of Opus packets."""

    def __init__(self, channels: int, serial: int) -> None:
        """`serial` tells this stream from others that follow in the same file, 32 bits."""
        self._channels = channels
        self._serial = serial
        self._page = 0
        self._granule = 0

    def head(self) -> bytes:
        """The two pages with which the stream begins."""
        head = struct.pack("<8sBBHIhB", b"OpusHead", 1, self._channels, PRE_SKIP, 48000, 0, 0)
        tags = struct.pack("<8sI8sI", b"OpusTags", len(VENDOR), VENDOR, 0)
        return self._write(head, FIRST) + self._write(tags)

    def packet(self, packet: bytes, samples: int) -> bytes:
        """A page with one packet of so many samples at 48 kHz."""
        self._granule += samples
        return self._write(packet)

    def end(self) -> bytes:
        """A page without a packet that ends the stream."""
        self._granule = NO_PACKET_ENDS
        return self._write(None, LAST)

    def _write(self, packet: bytes | None, kind: int = 0) -> bytes:
        packet, lengths = packet or b"", b"" if packet is None else _lengths(packet)
        head = _PAGE.pack(b"OggS", 0, kind, self._granule, self._serial, self._page, 0)
        page = bytearray(head + bytes([len(lengths)]) + lengths + packet)
        struct.pack_into("<I", page, _CRC_AT, crc(page))
        self._page += 1
        return bytes(page)


def _lengths(packet: bytes) -> bytes:
    lengths = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    if len(lengths) > 255:
        raise ValueError(f"a packet of {len(packet)} bytes fits no page")
    return lengths


def silence(channels: int) -> bytes:
    """An Opus packet that holds 100 ms of silence: five frames of 20 ms, two bytes each."""
    toc = 0xFB if channels == 1 else 0xFF
    return bytes([toc, 5]) + b"\xff\xfe" * 5


def crc(page: bytes | bytearray) -> int:
    """Ogg's checksum (RFC 3533), the page's own being 0."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value


def _entry(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = value << 1 ^ (_POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_TABLE = tuple(_entry(value) for value in range(256))
