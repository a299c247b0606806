"""Memory that several processes see, and what single values in it look like.

It has no name: a child inherits its number (`Memory.fd`), and it is gone with the last process that
holds it, however that one dies. A value is written where nobody looks, and then made known by one
store of eight bytes; so whoever is killed while writing has written nothing.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
import zlib
from time import sleep
from typing import Any, Literal

WORD_BYTES = 8
_HEAD = struct.Struct("<II")
_TRIES = 200
_AGAIN_S = 0.0002


class Memory:
    """A piece of anonymous memory; its pages cost nothing before they are written."""

    def __init__(self, fd: int) -> None:
        """Take up what another process has made."""
        self.fd = fd

    @classmethod
    def made(cls, size: int) -> Memory:
        """New memory, all zero."""
        memory = cls(_new_file())
        memory.grow(size)
        return memory

    def grow(self, size: int) -> None:
        """Make it at least so large; what was mapped before stays as it is."""
        if os.fstat(self.fd).st_size < size:
            os.ftruncate(self.fd, size)

    def mapped(self) -> mmap.mmap:
        """All of it, to read and write."""
        return mmap.mmap(self.fd, os.fstat(self.fd).st_size)


class Word:
    """One whole number or one time, at a place in mapped memory; one process writes it."""

    def __init__(self, memory: mmap.mmap, place: int, kind: Literal["q", "d"] = "q") -> None:
        """`kind` is "q" for a whole number, "d" for a float."""
        self._view: memoryview[Any] = memoryview(memory)[place : place + WORD_BYTES].cast(kind)

    @property
    def value(self) -> Any:
        """What it is now."""
        return self._view[0]

    @value.setter
    def value(self, value: float) -> None:
        self._view[0] = value


class Board:
    """The newest of something, as JSON. One process writes at a time, any may read.

    It fills `Board.size(room)` bytes; a value takes up to `room` bytes as JSON.
    """

    def __init__(self, memory: mmap.mmap, place: int, room: int) -> None:
        self._count = Word(memory, place)
        self._memory = memory
        self._first = place + WORD_BYTES
        self._room = room

    @staticmethod
    def size(room: int) -> int:
        """Bytes of memory for values of up to `room` bytes."""
        slot = _HEAD.size + room
        return WORD_BYTES + 2 * (slot + -slot % WORD_BYTES)

    @property
    def count(self) -> int:
        """How many values there have been; 0 before the first."""
        count: int = self._count.value
        return count

    def publish(self, value: object) -> None:
        """Put up another value; ValueError if it is too long."""
        text = json.dumps(value, separators=(",", ":"), default=float).encode()
        if len(text) > self._room:
            raise ValueError(f"{len(text):,} bytes of JSON on a board for {self._room:,}")
        start = self._slot(self.count + 1)
        _HEAD.pack_into(self._memory, start, len(text), zlib.crc32(text))
        self._memory[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        self._count.value = self.count + 1

    def read(self) -> Any:
        """The newest value; None before the first."""
        for _ in range(_TRIES):
            if not (count := self.count):
                return None
            start = self._slot(count)
            length, check = _HEAD.unpack_from(self._memory, start)
            text = self._memory[start + _HEAD.size : start + _HEAD.size + min(length, self._room)]
            if zlib.crc32(text) == check:
                return json.loads(text)
            sleep(_AGAIN_S)  # it was written over while it was read
        raise ValueError("a board is never the same twice")

    def _slot(self, count: int) -> int:
        return self._first + (count % 2) * ((Board.size(self._room) - WORD_BYTES) // 2)


def _new_file() -> int:
    """The number of a file that no folder knows; in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("perpetuo")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
