"""Protobuf messages as they lie in a file: fields by number, nothing known of what they mean. Pure.

ValueError or IndexError for what is no such message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Message = memoryview
VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
"""How a field is written."""


def fields(message: Message | bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value): whole numbers for varints, bytes for everything else."""
    for number, _, value in _written(memoryview(message)):
        yield number, value


def contents(message: Message) -> Iterator[tuple[int, Message]]:
    """(field number, content) of the length-delimited fields; the others are skipped."""
    for number, wire, value in _written(message):
        if wire == DELIMITED:
            yield number, value


def _written(message: Message) -> Iterator[tuple[int, int, Any]]:
    """(field number, how it is written, value)."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = varint(message, at)
            yield number, wire, value
            continue
        if wire == DELIMITED:
            length, at = varint(message, at)
        elif wire in (FIXED_64, FIXED_32):
            length = 8 if wire == FIXED_64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(message):
            raise ValueError(f"a field of {length:,} bytes ends behind the file")
        yield number, wire, message[at : at + length]
        at += length


def varint(message: Message, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
