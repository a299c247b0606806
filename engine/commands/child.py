"""A process of `perpetuo serve`: how it is begun, and what it is begun with.

The watcher writes an `Errand` into the child's stdin and keeps that open: when it closes, the
watcher is gone, and so is the child soon after.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
from argparse import Namespace
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

FORMAT_CHANGED = 75
"""Exit code of a feed that has to begin anew, because the music is of another format now."""


_GO = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Errand:
    """What a child is to do, and the numbers of what it shares with the others."""

    role: str  # "engine" or "feed", "house" for both in one, or "screen"
    given: Namespace
    house: int
    areas: tuple[int, ...]
    pipes: tuple[int, ...]  # its ends, one for each area
    number: int = 0  # of the engine; 0 for one that loads, and waits for `Child.go`
    terminal: tuple[int, ...] = ()  # a screen's input and output


class Child:
    """A process that is watched."""

    def __init__(self, errand: Errand) -> None:
        """Begin it, apart from the terminal's Ctrl-C if the terminal is not its own."""
        self.errand = errand
        self.began_s = monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.commands.child", errand.role],
            stdin=subprocess.PIPE, start_new_session=not errand.terminal,
            pass_fds=(errand.house, *errand.areas, *errand.pipes, *errand.terminal),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )  # fmt: skip
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then it is dead already, and will be found so
            self._process.stdin.write(pickle.dumps(errand))
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    def go(self, number: int) -> None:
        """Let an engine that waits begin, as the one of this number."""
        assert self._process.stdin is not None
        self.errand = replace(self.errand, number=number)
        self.began_s = monotonic()
        with suppress(BrokenPipeError):
            self._process.stdin.write(_GO.pack(number))
            self._process.stdin.flush()

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Let it say goodbye."""
        self._process.terminate()

    def kill(self) -> None:
        """End it now, even where it stands still."""
        self._process.kill()

    def wait(self, timeout_s: float) -> None:
        """Until it has ended; kill it after so long."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


def wait_for_go() -> int:
    """In the child: the number that it was told; SystemExit where the watcher is gone."""
    told = sys.stdin.buffer.read(_GO.size)
    if len(told) < _GO.size:
        raise SystemExit(0)
    return int(_GO.unpack(told)[0])


def main() -> int:
    """The child's side."""
    from engine.errors import PerpetuoError
    from engine.precedence import take_precedence

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the watcher hears it, and ends its children
    signal.signal(signal.SIGTERM, _stop)
    errand: Errand = pickle.load(sys.stdin.buffer)
    if errand.role != "screen":
        take_precedence()
    try:
        if errand.role == "engine":
            from engine.commands.serve_engine import serve_engine

            return serve_engine(errand)
        if errand.role == "feed":
            from engine.commands.serve_feed import serve_feed

            return serve_feed(errand)
        if errand.role == "screen":
            from engine.commands.serve_screen import serve_screen

            return serve_screen(errand)
        from engine.commands.serve_alone import serve_guarded

        return serve_guarded(errand)
    except PerpetuoError as error:
        print(f"perpetuo: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except MemoryError:
        print(f"perpetuo: the {errand.role} is out of memory", file=sys.stderr, flush=True)
        return PerpetuoError.exit_code


def _stop(number: int, _frame: object) -> None:
    """Unwind; tidying up is not interrupted by another signal."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
