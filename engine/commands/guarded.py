"""`perpetuo serve` with a performer's rig or with sessions: one process, and who watches it.

Rig and sessions know the runners themselves, so engine and feed are one process there, the *house*.
It is a child of this one: where it dies, stands still or runs out of memory, another one takes up
its door, its controls and prompts, and goes on from the last seconds of its music. Listeners come
again, in a new epoch; conductors of sessions begin anew. SIGUSR1 has another house load the bundle
beside the one that plays; when it is ready, the first one ends and the other takes its place in the
same way. If it cannot play, nothing changes.

A performer's screen is a child of its own, the only one that knows the terminal: it looks at the
house through the shared memory, and stays while houses come and go.
"""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from collections.abc import Sequence
from time import monotonic

from engine.commands import say
from engine.commands.child import Child, Errand
from engine.commands.screen import check_screen
from engine.commands.terminal import Terminal
from engine.commands.watching import (
    BEGIN_S,
    END_S,
    LOOK_S,
    REFUSED,
    SIGNALLED,
    STALE_S,
    TAKEN_UP,
    Report,
    given_up,
    prepared,
)
from engine.process.house import Area, House, pipe_ends
from engine.process.patience import Patience
from engine.process.restarts import Restarts

NO_SCREEN = "perpetuo: the music goes on without a screen (Ctrl-C ends it)"


def guard(given: Namespace) -> int:
    """Serve until SIGINT or SIGTERM, or until the screen is left: the exit code.

    DeviceError at once for a device that is not there: one that gets lost later comes back.
    UsageError for a screen that cannot be.
    """
    asked = prepared(given)
    if not given.screen:
        return _guard(given, asked, None)
    check_screen()
    with Terminal() as terminal:
        return _guard(given, asked, terminal)


def _guard(given: Namespace, asked: Sequence[int], terminal: Terminal | None) -> int:
    guardian = Guard(given, asked, terminal)
    signal.signal(signal.SIGUSR1, lambda *_: guardian.ask_for_swap())
    try:
        return guardian.watch()
    finally:
        guardian.end()


class Guard:
    """Starts, watches and replaces them; `watch` returns when that has become vain."""

    def __init__(
        self, given: Namespace, asked: Sequence[int], terminal: Terminal | None = None
    ) -> None:
        """`asked` holds the signals that came: the first of them ends it."""
        # The house has no screen of its own, but may have one that looks at it.
        self._given = Namespace(**vars(given) | {"screen": False, "watched": given.screen})
        self._asked, self._terminal = asked, terminal
        self._house, self._area, self._ends = House.made(), Area.made(), pipe_ends()
        self._budget, self._screens = Restarts(given.restarts), Restarts(given.restarts)
        self._report = Report()
        self._patience = Patience(2 * LOOK_S)
        self._swap_asked = False
        self._coming: Child | None = None  # a house that has another bundle
        self._leaving_s = 0.0  # since when the one before it ends
        self._child = self._new(1)
        self._screen = self._new_screen()

    def ask_for_swap(self) -> None:
        """Load the bundle anew, when there is time."""
        self._swap_asked = True

    def watch(self) -> int:
        """Until a signal comes, the screen is left, or all is vain: then what to exit with."""
        while not self._asked:
            for look in (self._look_at_house, self._look_at_screen):
                if (code := look()) is not None:
                    return code
            self._report.look(self._house.feed_beat_s.value, str(self._house.engine_restarts.value))
            time.sleep(LOOK_S)
        return SIGNALLED + self._asked[0]

    def end(self) -> None:
        """Let them say goodbye."""
        self._report.end()
        children = [one for one in (self._child, self._coming, self._screen) if one is not None]
        for child in children:
            child.ask_to_end()
        for child in children:
            child.wait(END_S)

    # ---- one look -----------------------------------------------------------------------------

    def _look_at_house(self) -> int | None:
        """All that may have happened to it; an exit code if it is the end."""
        self._look_for_life()
        self._look_at_swap()
        if (code := self._child.ended()) is None:
            return None
        if self._leaving_s:
            say(TAKEN_UP)
        else:
            if (end := self._after(code)) is not None:
                return end
            self._house.engine_restarts.value += 1
        self._child, self._coming = self._coming or self._new(1), None
        self._leaving_s = self._house.feed_beat_s.value = 0.0
        if not self._child.errand.number:
            self._child.go(1)
        return None

    def _look_for_life(self) -> None:
        """End what gives no sign of life, or never gave its first."""
        beats = {self._child: self._house.feed_beat_s.value}
        if self._coming is not None:
            beats[self._coming] = 0.0  # it loads
        if self._screen is not None:
            beats[self._screen] = self._area.beat_s.value
        signs = {child.pid: beat_s for child, beat_s in beats.items()}
        silent_s = self._patience.silent_s(monotonic(), signs)
        for child, beat_s in beats.items():
            late = silent_s[child.pid] > (STALE_S if beat_s else BEGIN_S)
            if late and child.ended() is None:
                child.kill()

    def _look_at_swap(self) -> None:
        """Begin a swap that was asked for; have the house leave when the next one has loaded."""
        if self._coming is None:
            if self._swap_asked and self._report.ready:
                self._swap_asked = False
                self._coming = self._new(0)
        elif self._coming.ended() is not None:
            self._coming, self._leaving_s = None, 0.0
            say(REFUSED)
        elif self._leaving_s:
            if monotonic() - self._leaving_s > END_S:
                self._child.kill()
        elif self._house.spare.value == self._coming.pid:
            self._leaving_s = monotonic()
            self._child.ask_to_end()

    def _after(self, code: int) -> int | None:
        """What to exit with after the house has ended; None to start it again."""
        if not self._report.ready and code > 0:  # it said why
            return code
        return given_up("it", self._child, code, self._budget)

    def _look_at_screen(self) -> int | None:
        """0 where it was left; one that broke is shown again."""
        if self._screen is None or self._terminal is None:
            return None
        self._terminal.said.tidy()
        if (code := self._screen.ended()) is None:
            return None
        self._terminal.mend()
        if code == 0:
            return 0
        if given_up("the screen", self._screen, code, self._screens) is None:
            self._screen = self._new_screen()
        else:
            self._screen = None
            self._terminal.give_back(NO_SCREEN)
        return None

    # ---- children -----------------------------------------------------------------------------

    def _new(self, number: int) -> Child:
        """A house; of number 0 it loads, and waits."""
        if number:
            self._house.feed_beat_s.value = 0.0
        pipes = (self._ends[0].fileno(),) if self._terminal is not None else ()
        return Child(self._errand("house", pipes, number))

    def _new_screen(self) -> Child | None:
        if self._terminal is None:
            return None
        self._area.beat_s.value = 0.0
        return Child(self._errand("screen", (self._ends[1].fileno(),), 1, self._terminal.numbers))

    def _errand(
        self, role: str, pipes: tuple[int, ...], number: int, terminal: tuple[int, ...] = ()
    ) -> Errand:
        house, area = self._house.memory.fd, self._area.memory.fd
        return Errand(role, self._given, house, (area,), pipes, number, terminal)
