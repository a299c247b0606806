"""Ticks of several streams in step: where their passes share a run, it is done once for all.

A tick is written as a coroutine that gives up a pass whenever it has one written down, and goes on
when that has been run. `alone` runs the passes of one tick as they come; `together` waits until
every tick has given one up, and runs those that share their arrays at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Passable(Protocol):
    """Passes of several streams that are written down, a row for each."""

    def go(self, rows: Sequence[int]) -> None:
        """Run these rows."""
        ...


Ticking = Generator[tuple[Passable, int], None, T]
"""Gives up (run, row); what it returns is what the tick made."""


def alone(ticking: Ticking[T]) -> T:
    """One tick from its beginning to its end."""
    while True:
        try:
            run, row = next(ticking)
        except StopIteration as ended:
            made: T = ended.value
            return made
        run.go((row,))


def together(tickings: Iterable[Ticking[T]]) -> list[T | Exception]:
    """What each made, or what went wrong in it; a run that fails, fails for all that share it."""
    found: dict[int, T | Exception] = {}
    left = dict(enumerate(tickings))
    while left:
        shared: dict[Passable, dict[int, int]] = {}
        for number in tuple(left):
            _advance(number, left, found, shared)
        for run, rows in shared.items():
            try:
                run.go(tuple(rows.values()))
            except Exception as error:
                for number in rows:
                    left.pop(number).close()
                    found[number] = error
    return [found[number] for number in sorted(found)]


def _advance(
    number: int, left: dict[int, Ticking[T]], found: dict[int, T | Exception],
    shared: dict[Passable, dict[int, int]],
) -> None:  # fmt: skip
    """One tick up to its next pass, or to its end."""
    try:
        run, row = next(left[number])
        shared.setdefault(run, {})[number] = row
    except StopIteration as ended:
        found[number] = ended.value
        del left[number]
    except Exception as error:
        found[number] = error
        del left[number]
