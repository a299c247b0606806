"""The feed without its sockets: which packet is next, when it is due, and what is in it.

Samples are counted twice. A sample of the *music* is one that went through the audio ring. A
sample of the *feed* is one that was sent: music, or filler where the ring ran dry. Listeners see
the feed's count only; it never jumps within an epoch.
"""

# ruff: noqa: D102 – the fields of MusicRing and Blocks are explained where they are counted

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from engine.controls import ControlSnapshot
from engine.hands import Hands
from engine.session import Floats
from engine.wire.packets import Codec, Flag, PacketHeader, encode_packet

MARKS = 256
"""Blocks remembered: more than any ring holds."""


class BlockLike(Protocol):
    """What the feed wants to know of a block; `engine.generator.Block` is one."""

    @property
    def position_samples(self) -> int:
        """First sample, counted in the ring."""
        ...

    @property
    def index(self) -> int:
        """Number of its chunk."""
        ...

    @property
    def control_revision(self) -> int:
        """Revision of the ideas that made it."""
        ...

    @property
    def cover(self) -> bool:
        """True for held music, which belongs to no chunk."""
        ...


class MusicRing(Protocol):
    """Where the music comes from; `engine.ring.AudioRing` is one, with its contract."""

    @property
    def channels(self) -> int: ...
    @property
    def capacity_samples(self) -> int: ...
    @property
    def fill_samples(self) -> int: ...
    @property
    def written_samples(self) -> int: ...
    @property
    def read_samples(self) -> int: ...
    @property
    def shortfall_samples(self) -> int: ...
    @property
    def shortfalls(self) -> int: ...
    @property
    def dry(self) -> bool: ...
    def read_into(self, out: Floats) -> int: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A block begins at this sample of the music; a cover keeps the chunk and ideas before it."""

    start: int
    index: int
    revision: int
    cover: bool


class Blocks(Protocol):
    """Which block lies where in the ring; `BlockLog` is one."""

    def at(self, sample: int) -> Mark | None: ...
    @property
    def last(self) -> Mark | None: ...


class BlockLog:
    """Remembers which block lies where in the ring. One thread notes, any thread asks."""

    def __init__(self) -> None:
        self._marks: deque[Mark] = deque(maxlen=MARKS)
        self._lock = threading.Lock()

    def note(self, block: BlockLike) -> None:
        """Take note of a block written to the ring; made to be the runner's `on_block`."""
        with self._lock:
            start, index, revision = block.position_samples, block.index, block.control_revision
            if block.cover:
                last = self._marks[-1] if self._marks else Mark(0, -1, 0, True)
                index, revision = last.index, last.revision
            self._marks.append(Mark(start, index, revision, block.cover))

    def at(self, sample: int) -> Mark | None:
        """The block that holds this sample of the music; None before the first."""
        with self._lock:
            return next((mark for mark in reversed(self._marks) if mark.start <= sample), None)

    @property
    def last(self) -> Mark | None:
        """The newest block."""
        with self._lock:
            return self._marks[-1] if self._marks else None


class Pacer:
    """Deadlines t0 + k · packet on a monotonic clock; what is late never moves the next ones.

    After a standstill of more than `patience_s` the clock starts anew, instead of a burst.
    """

    def __init__(self, packet_s: float, patience_s: float = 1.0) -> None:
        self._packet_s = packet_s
        self._patience_s = patience_s
        self._start_s: float | None = None
        self._sent = 0
        self.restarts = 0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next packet is due, 0 if it is now; the first is due at once."""
        if self._start_s is None:
            self._start_s = now_s
        return max(0.0, self._deadline_s(self._start_s) - now_s)

    def sent(self, now_s: float) -> None:
        """Move on to the next packet; this one was sent at `now_s`."""
        start_s = now_s if self._start_s is None else self._start_s
        if now_s - self._deadline_s(start_s) > self._patience_s:
            start_s = now_s - self._sent * self._packet_s
            self.restarts += 1
        self._start_s = start_s
        self._sent += 1

    def _deadline_s(self, start_s: float) -> float:
        return start_s + self._sent * self._packet_s


@dataclass(frozen=True)
class Packet:
    """One packet, encoded at most once for each codec."""

    header: PacketHeader
    audio: Floats
    _encoded: dict[tuple[Codec, Flag], bytes] = field(default_factory=dict, repr=False)

    def encoded(self, codec: Codec, flag: Flag = Flag.NONE) -> bytes:
        """The bytes for listeners of `codec`, with `flag` added to the header's own."""
        if (codec, flag) not in self._encoded:
            header = replace(self.header, codec=codec, flags=self.header.flags | flag)
            self._encoded[codec, flag] = encode_packet(header, self.audio)
        return self._encoded[codec, flag]


class Feed:
    """Takes audio from the ring, puts the hands to it and numbers the packets."""

    def __init__(
        self, ring: MusicRing, blocks: Blocks, *, sample_rate_hz: int, packet_samples: int,
        epoch: int,
    ) -> None:  # fmt: skip
        self.ring = ring
        self.blocks = blocks
        self.position = 0
        self.filler_samples = 0
        self._hands = Hands(sample_rate_hz)
        self._packet_samples = packet_samples
        self._next = PacketHeader(
            codec=Codec.PCM_F32LE, epoch=epoch, sequence=0, samples=packet_samples, position=0,
            idea_revision=0, hand_revision=0, sample_rate_hz=sample_rate_hz, channels=ring.channels,
        )  # fmt: skip

    @property
    def epoch(self) -> int:
        """The number drawn at start that all packets carry."""
        return self._next.epoch

    @property
    def sequence(self) -> int:
        """Number of the next packet."""
        return self._next.sequence

    def pull(self, controls: ControlSnapshot) -> Packet:
        """The next packet, always full: music from the ring, filler where it ran dry."""
        audio = np.empty((self._packet_samples, self.ring.channels), np.float32)
        found = self.ring.read_into(audio)
        self._hands.process(audio, controls)
        missing = self._packet_samples - found
        mark = self.blocks.at(self.ring.read_samples - 1)
        header = replace(
            self._next,
            idea_revision=mark.revision if mark else 0,
            hand_revision=controls.revision,
            flags=Flag.FILLER if missing else Flag.NONE,
        )
        self.filler_samples += missing
        self.position += self._packet_samples
        self._next = replace(self._next, sequence=self.sequence + 1, position=self.position)
        return Packet(header, audio)

    def to_feed(self, music_sample: int) -> int:
        """Where a sample of the music lies in the feed, unless the ring runs dry before."""
        return self.position + music_sample - self.ring.read_samples

    def heard_at(
        self, reach: str, newest_index: int | None, chunk_samples: int, taking: int = 0
    ) -> int:
        """Sample of the feed from which a control that is set now will be heard.

        A `hand` acts on the next packet; `hold` on the next block of the ring; an `idea` on the
        next chunk to enter the window, one behind `newest_index`, the newest that is there by now.
        Finished chunks follow the last block of the ring, one after the other. A tick under way
        has taken its ideas already: then `taking` is how many chunks are in flight in it, the
        newest of which may not have been seen yet. Music held meanwhile comes on top.
        """
        if reach == "hand":
            return self.position
        last = self.blocks.last
        ahead = 0
        if reach == "idea" and last is not None and newest_index is not None:
            ahead = max(0, newest_index - last.index, taking)
        return self.to_feed(self.ring.written_samples + ahead * chunk_samples)

    def sounding(self) -> Mark | None:
        """The block that the next packet begins in, its start counted in the feed."""
        mark = self.blocks.at(self.ring.read_samples)
        return None if mark is None else replace(mark, start=self.to_feed(mark.start))
