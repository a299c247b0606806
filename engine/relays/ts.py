"""MPEG transport stream (ISO 13818-1) with one AAC stream, without IO: ADTS frames in, bytes out.

Every segment begins with the tables, so that a player may begin with any; the counters go on from
one segment to the next, so that one which plays through misses nothing.
"""

from __future__ import annotations

from collections import Counter

TS_BYTES = 188
PAYLOAD_BYTES = 184
CLOCK_HZ = 90_000
CLOCK_BITS = 33
FIRST_TIME = CLOCK_HZ
AHEAD = CLOCK_HZ // 2
"""A player's clock is so much behind the time of the audio that it is sent: 0.5 s."""

FRAMES_EACH = 4
"""ADTS frames in one PES packet: 85 ms, so that the clock is told every 100 ms."""

PAT_PID, PMT_PID, AUDIO_PID = 0, 0x1000, 0x100
_PMT_AT = (0xE000 | PMT_PID).to_bytes(2)
_AUDIO_AT = (0xE000 | AUDIO_PID).to_bytes(2)
_ADTS_AAC = b"\x0f"
_PROGRAM = b"\x00\x01"
_PAT = b"\x00\xb0\x0d\x00\x01\xc1\x00\x00" + _PROGRAM + _PMT_AT
_PMT = (
    b"\x02\xb0\x12" + _PROGRAM + b"\xc1\x00\x00" + _AUDIO_AT + b"\xf0\x00"
    + _ADTS_AAC + _AUDIO_AT + b"\xf0\x00"
)  # fmt: skip


class TransportStream:
    """One stream, cut into segments."""

    def __init__(self, rate_hz: int, frame_samples: int) -> None:
        """Frames hold so many samples each, at `rate_hz`."""
        self._rate_hz = rate_hz
        self._frame_samples = frame_samples
        self._sample = 0
        self._counters: Counter[int] = Counter()

    def segment(self, frames: list[bytes]) -> bytes:
        """The next segment, which holds these frames."""
        parts = [self._table(PAT_PID, _PAT), self._table(PMT_PID, _PMT)]
        for at in range(0, len(frames), FRAMES_EACH):
            some = frames[at : at + FRAMES_EACH]
            parts.append(self._audio(b"".join(some)))
            self._sample += len(some) * self._frame_samples
        return b"".join(parts)

    def _table(self, pid: int, section: bytes) -> bytes:
        section = b"\0" + section + crc(section).to_bytes(4)
        return self._packet(pid, b"", section.ljust(PAYLOAD_BYTES, b"\xff"), first=True)

    def _audio(self, frames: bytes) -> bytes:
        """One PES packet; its first transport packet carries the clock."""
        time = FIRST_TIME + self._sample * CLOCK_HZ // self._rate_hz
        head = b"\x80\x80\x05" + _pts(time)
        length = (len(head) + len(frames)).to_bytes(2)
        rest = b"\0\0\1\xc0" + length + head + frames
        field = b"\x50" + _pcr(time - AHEAD)  # a player may begin here
        parts: list[bytes] = []
        while rest:
            room = PAYLOAD_BYTES - (1 + len(field) if field else 0)
            piece, rest = rest[:room], rest[room:]
            parts.append(self._packet(AUDIO_PID, field, piece, first=not parts))
            field = b""
        return b"".join(parts)

    def _packet(self, pid: int, field: bytes, payload: bytes, *, first: bool) -> bytes:
        """One transport packet, its adaptation field stuffed to its 188 bytes."""
        spare = PAYLOAD_BYTES - len(payload)
        if spare:
            field = field or b"\0" * (spare > 1)
            field = bytes([spare - 1]) + field.ljust(spare - 1, b"\xff")
        counter = self._counters[pid] % 16
        self._counters[pid] += 1
        flags = (0x30 if spare else 0x10) | counter
        return b"\x47" + (first << 14 | pid).to_bytes(2) + bytes([flags]) + field + payload


def crc(section: bytes) -> int:
    """The checksum of a table."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def _pts(time: int) -> bytes:
    """33 bits in three groups, each followed by a 1."""
    time %= 1 << CLOCK_BITS
    groups = 2 << 36 | (time >> 30) << 33 | (time >> 15 & 0x7FFF) << 17 | (time & 0x7FFF) << 1
    return (groups | 1 << 32 | 1 << 16 | 1).to_bytes(5)


def _pcr(time: int) -> bytes:
    """33 bits at 90 kHz, six that are reserved, and nine at 27 MHz, here 0."""
    return (time % (1 << CLOCK_BITS) << 15 | 0x3F << 9).to_bytes(6)
