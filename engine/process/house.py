"""Where in shared memory everything lies, for all processes alike.

The *house* holds what outlives engine and feed: the controls, the prompts as they were asked for,
the door that the feed opened, and which engine is heard. An *area* holds what one engine makes;
there are two of them, so that a new engine can begin while the last one is still heard. An area's
engine tells `about` itself when it is ready; its audio (`engine.process.music`) lies behind that.
"""

from __future__ import annotations

import socket

from engine.process.memory import WORD_BYTES, Board, Memory, Word

CONTROLS_BYTES = 64 * 1024
PROMPTS_BYTES = 192 * 1024
DOOR_BYTES = 1024
ABOUT_BYTES = 1 << 20
STATUS_BYTES = 64 * 1024
MOST_MESSAGE_BYTES = 1 << 18
AREAS = 2


def pipe_ends() -> tuple[socket.socket, socket.socket]:
    """The two ends of a pipe of messages, with room for the longest."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MOST_MESSAGE_BYTES)
    return ends


class _Layout:
    """Hands out places one behind the other."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, size: int) -> int:
        """The place of the next `size` bytes."""
        place, self.size = self.size, self.size + size
        return place


class House:
    """The shared memory of all processes."""

    def __init__(self, memory: Memory) -> None:
        """Look into memory that `made` has made."""
        mapped = memory.mapped()
        self.memory = memory
        place = _Layout()
        self.engine = Word(mapped, place.take(WORD_BYTES))
        """The number of the engine that is to be heard, from 1; 0 before the first is ready."""
        self.feed_beat_s = Word(mapped, place.take(WORD_BYTES), "d")
        """When the feed was last seen at work, monotonic; 0 before."""
        self.engine_restarts = Word(mapped, place.take(WORD_BYTES))
        self.feed_restarts = Word(mapped, place.take(WORD_BYTES))
        self.spare = Word(mapped, place.take(WORD_BYTES))
        """The process of the engine that has loaded, and waits; 0 before."""
        self.controls = Board(mapped, place.take(Board.size(CONTROLS_BYTES)), CONTROLS_BYTES)
        self.prompts = Board(mapped, place.take(Board.size(PROMPTS_BYTES)), PROMPTS_BYTES)
        self.door = Board(mapped, place.take(Board.size(DOOR_BYTES)), DOOR_BYTES)

    @classmethod
    def made(cls) -> House:
        """A new one."""
        boards = sum(Board.size(room) for room in (CONTROLS_BYTES, PROMPTS_BYTES, DOOR_BYTES))
        return cls(Memory.made(5 * WORD_BYTES + boards))


class Area:
    """What one engine shows of itself. The engine of number n has the area n % AREAS."""

    def __init__(self, memory: Memory) -> None:
        """Look into memory that `made` has made."""
        mapped = memory.mapped()
        self.memory = memory
        place = _Layout()
        self.beat_s = Word(mapped, place.take(WORD_BYTES), "d")
        """When the engine was last seen at work, monotonic; 0 before it is ready."""
        self.about = Board(mapped, place.take(Board.size(ABOUT_BYTES)), ABOUT_BYTES)
        """Bundle, ring and what else a feed must know, written once by each engine."""
        self.status = Board(mapped, place.take(Board.size(STATUS_BYTES)), STATUS_BYTES)
        """`engine.status.RunnerStatus`, again and again."""

    SIZE = WORD_BYTES + Board.size(ABOUT_BYTES) + Board.size(STATUS_BYTES)

    @classmethod
    def made(cls) -> Area:
        """A new one."""
        return cls(Memory.made(cls.SIZE))
