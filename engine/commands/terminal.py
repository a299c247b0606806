"""The terminal of `perpetuo serve --screen`: the screen draws on it, and nobody else may write.

What the watcher and the music's process say meanwhile goes into a file that no folder knows; the
screen shows its last lines, and so does the terminal when the screen is left. A screen that dies
leaves a terminal in disorder; it is mended before the next one begins.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from contextlib import suppress
from types import TracebackType
from typing import Self

from engine.process.memory import Memory

INPUT, OUTPUT, ERRORS = 0, 1, 2
LINES = 64
TAIL_BYTES = 16 * 1024
MOST_BYTES = 1 << 20
LAST_LINES = 10
"""Shown when the screen is left."""

USUAL = (
    "\x1b[?1049l\x1b[?25h\x1b[?7h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l"
    "\x1b[?1015l\x1b[?1016l\x1b[?2004l\x1b[?2048l\x1b[<u\x1b[0m"
)
"""The main page, a cursor, lines that wrap, and no word of mouse, focus, paste and size."""


class Said:
    """Lines of several processes: each appends, and whoever looks sees the last of them."""

    def __init__(self, fd: int) -> None:
        """Take up what another process has made."""
        self.fd = fd

    @classmethod
    def made(cls) -> Said:
        """A new one, empty."""
        said = cls(Memory.made(0).fd)
        fcntl.fcntl(said.fd, fcntl.F_SETFL, fcntl.fcntl(said.fd, fcntl.F_GETFL) | os.O_APPEND)
        return said

    def say(self, line: str) -> None:
        """One more."""
        os.write(self.fd, f"{line}\n".encode())

    def lines(self, most: int = LINES) -> list[str]:
        """The last of them."""
        words = self._tail().decode(errors="replace")
        return [line for line in words.splitlines() if line.strip()][-most:]

    def tidy(self) -> None:
        """Forget all but the last, where there is much. What is said right then is lost."""
        if os.fstat(self.fd).st_size > MOST_BYTES:
            tail = self._tail()
            os.ftruncate(self.fd, 0)
            os.write(self.fd, tail)

    def _tail(self) -> bytes:
        size = os.fstat(self.fd).st_size
        return os.pread(self.fd, TAIL_BYTES, max(0, size - TAIL_BYTES))


class Terminal:
    """This process's terminal, left to a screen for as long as it is entered."""

    def __enter__(self) -> Self:
        sys.stdout.flush()
        self.said = Said.made()
        self._given_back = False
        self._modes = termios.tcgetattr(INPUT)
        self._kept = {number: os.dup(number) for number in (INPUT, OUTPUT, ERRORS)}
        for number in (OUTPUT, ERRORS):
            if os.isatty(number):
                os.dup2(self.said.fd, number)
        return self

    @property
    def numbers(self) -> tuple[int, int]:
        """Its input, and where a screen draws."""
        return self._kept[INPUT], self._kept[ERRORS]

    def mend(self) -> None:
        """As it was before a screen; for when that has ended, however it did."""
        with suppress(OSError, termios.error):  # a terminal that is gone
            os.write(self._kept[ERRORS], USUAL.encode())
            termios.tcsetattr(self._kept[INPUT], termios.TCSAFLUSH, self._modes)

    def give_back(self, *more: str) -> None:
        """As it was: what this process says is seen again, first the last lines and these."""
        if self._given_back:
            return
        self._given_back = True
        sys.stdout.flush()
        self.mend()
        for number in (OUTPUT, ERRORS):
            os.dup2(self._kept[number], number)
        for line in (*self.said.lines(LAST_LINES), *more):
            with suppress(OSError):  # a terminal that is gone
                print(line, file=sys.stderr, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self.give_back()
        for number in self._kept.values():
            os.close(number)
