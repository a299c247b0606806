"""The performer's screen around a stream that plays in other threads."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

from engine.errors import UsageError
from engine.rig.orders import Order
from engine.rig.ports import library
from engine.rig.view import Sight

Serving = Callable[[asyncio.Future[int]], Coroutine[None, None, int]]
"""Serves until the future has an exit code, and returns it."""

Over = Callable[[], bool]


def check_screen() -> None:
    """UsageError where there can be no screen."""
    library("textual")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # textual draws on stderr
        raise UsageError("--screen needs a terminal as its input and its error output")


def show(sight: Sight, ask: Callable[[Order], None], over: Over) -> int:
    """The screen, in the main thread, until it is left or all is over; warnings are lines of it.

    Its exit code: 0 unless it broke.
    """
    from engine.rig.screen import Panels

    with _warnings_to(sight.tell):
        screen = Panels(sight, ask, over)
        screen.run()
    return screen.return_code or 0


def beside_screen(serving: Serving, screen: Callable[[Over], None]) -> int:
    """Serve in a thread of its own while the screen is shown in this one; either ends the other."""
    served = Served(serving)
    served.start()
    served.ready.wait()
    try:
        screen(lambda: not served.is_alive())
    finally:
        served.end()
        served.join()
    if served.error is not None:
        raise served.error
    return served.code


class Served(threading.Thread):
    """An event loop that serves."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(name="perpetuo-feed", daemon=True)
        self.code = 0
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self._serving = serving
        self._asked: asyncio.Future[int] | None = None

    def run(self) -> None:
        """Serve; what ends it is kept for `beside_screen`."""
        try:
            self.code = asyncio.run(self._serve())
        except BaseException as error:
            self.error = error
        finally:
            self.ready.set()

    def end(self) -> None:
        """Ask for the end; from any thread."""

        def ask() -> None:
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(0)

        if self._asked is not None and self.is_alive():
            self._asked.get_loop().call_soon_threadsafe(ask)

    async def _serve(self) -> int:
        self._asked = asyncio.get_running_loop().create_future()
        self.ready.set()
        return await self._serving(self._asked)


@contextmanager
def _warnings_to(tell: Callable[[str], None]) -> Iterator[None]:
    """What is logged as a warning or worse; on the terminal it would spoil the screen."""
    handler = _Lines(tell)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())
