"""`perpetuo serve` with a performer's rig or with sessions: one process, and who watches it.

Rig and sessions know the runners themselves, so engine and feed are one process there. It is a
child of this one: where it dies, stands still or runs out of memory, another one takes up its door,
its controls and prompts, and goes on from the last seconds of its music. Listeners come again, in a
new epoch; conductors of sessions begin anew.
"""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from collections.abc import Sequence
from time import monotonic

from engine.commands import say
from engine.commands.child import Child, Errand
from engine.commands.supervised import (
    BEGIN_S,
    END_S,
    LOOK_S,
    SIGNALLED,
    STALE_S,
    TELL_S,
    given_up,
    prepared,
)
from engine.process.house import Area, House
from engine.process.notify import Notifier
from engine.process.patience import Patience
from engine.process.restarts import Restarts

NO_SWAP = "perpetuo: with a rig or sessions, end it and start anew to take up another bundle"


def guard(given: Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code of what could not be started at all.

    DeviceError at once for a device that is not there: one that gets lost later comes back.
    """
    asked = prepared(given)
    signal.signal(signal.SIGUSR1, lambda *_: say(NO_SWAP))
    guardian = Guard(given, asked)
    try:
        return guardian.watch()
    finally:
        guardian.end()


class Guard:
    """Starts, watches and replaces it; `watch` returns when that has become vain."""

    def __init__(self, given: Namespace, asked: Sequence[int]) -> None:
        """`asked` holds the signals that came: the first of them ends it."""
        self._given, self._asked = given, asked
        self._house, self._area = House.made(), Area.made()
        self._budget = Restarts(given.restarts)
        self._notifier = Notifier()
        self._patience = Patience(2 * LOOK_S)
        self._ready = False
        self._told_s = 0.0
        self._child = self._new()

    def watch(self) -> int:
        """Until a signal comes, or it cannot be started again: then what to exit with."""
        while not self._asked:
            self._look_for_life()
            if (code := self._child.ended()) is not None:
                if (end := self._after(code)) is not None:
                    return end
                self._house.engine_restarts.value += 1
                self._child = self._new()
            self._tell()
            time.sleep(LOOK_S)
        return SIGNALLED + self._asked[0]

    def end(self) -> None:
        """Let it say goodbye."""
        self._notifier.stopping()
        self._child.ask_to_end()
        self._child.wait(END_S)

    def _look_for_life(self) -> None:
        """End it where it gives no sign of life, or never gave its first."""
        beat_s, pid = self._house.feed_beat_s.value, self._child.pid
        silent_s = self._patience.silent_s(monotonic(), {pid: beat_s})[pid]
        if silent_s > (STALE_S if beat_s else BEGIN_S) and self._child.ended() is None:
            self._child.kill()

    def _after(self, code: int) -> int | None:
        """What to exit with after it has ended; None to start it again."""
        if code == 0 or (not self._ready and code > 0):  # its screen was left, or it said why
            return code
        return given_up("it", self._child, code, self._budget)

    def _tell(self) -> None:
        """Tell systemd how it goes, if it asks."""
        if not self._ready and self._house.feed_beat_s.value:
            self._ready = True
            self._notifier.ready()
        now_s = monotonic()
        if now_s - self._told_s > min(TELL_S, (self._notifier.watchdog_s or TELL_S) / 4):
            self._told_s = now_s
            self._notifier.alive(f"playing; started again: {self._house.engine_restarts.value}")

    def _new(self) -> Child:
        self._house.feed_beat_s.value = 0.0
        return Child(
            Errand("house", self._given, self._house.memory.fd, (self._area.memory.fd,), ())
        )
