"""The performer's screen of a watched `perpetuo serve`, as a process of its own.

It knows the terminal and nothing of sound; it stays while the process that plays is replaced.
"""

from __future__ import annotations

import os
import select
import signal
from time import monotonic

from engine.commands.child import Errand
from engine.commands.screen import show
from engine.commands.shown import Seen
from engine.commands.terminal import ERRORS, INPUT, OUTPUT, Said
from engine.process.house import Area, House
from engine.process.memory import Memory


def serve_screen(errand: Errand) -> int:
    """Show it until it is left or the watcher is gone: 0, or the exit code of one that broke."""
    said, watcher = Said(os.dup(ERRORS)), os.dup(INPUT)
    terminal_in, terminal_out = errand.terminal
    for number, place in ((terminal_in, INPUT), (terminal_out, OUTPUT), (terminal_out, ERRORS)):
        os.dup2(number, place)
    house, area = House(Memory(errand.house)), Area(Memory(errand.areas[0]))
    seen, over = Seen(house, area, errand.pipes[0], said), Over(area, watcher)
    return show(seen, seen.ask, over)


class Over:
    """Tells the watcher that the screen lives, and the screen when to end."""

    def __init__(self, area: Area, watcher: int) -> None:
        """`watcher` can be read when the watcher is gone: it never writes again."""
        self._area, self._watcher = area, watcher
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def __call__(self) -> bool:
        """True when it is over."""
        self._area.beat_s.value = monotonic()
        return self._asked or bool(select.select([self._watcher], [], [], 0)[0])

    def _ask(self, *_: object) -> None:
        self._asked = True
