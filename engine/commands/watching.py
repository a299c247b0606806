"""What the watchers of `perpetuo serve` have in common.

Signals are noted, a child that ends too often is given up, and systemd is told how it goes.
"""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from time import monotonic

from engine.commands import say
from engine.commands.child import Child
from engine.errors import PerpetuoError
from engine.process.notify import Notifier
from engine.process.restarts import Restarts

LOOK_S = 0.05
STALE_S = 5.0
"""A process without a sign of life for so long is ended; see `Patience` for whose time counts."""

BEGIN_S = 120.0
"""The longest an engine may take to its first music: graphs may be built on this machine."""

YOUNG_S, PAUSE_S = 3.0, 0.5
"""What ends so young is started again after a pause."""

END_S = 4.0
SIGNALLED = 128
"""Added to the number of the signal that ended it."""

TELL_S = 1.0

TAKEN_UP = "perpetuo: the bundle was taken up anew"
REFUSED = "perpetuo: the bundle cannot be taken up; what plays goes on"


def prepared(given: Namespace) -> list[int]:
    """Find the device that is asked for; what it returns holds SIGINTs and SIGTERMs from now on.

    DeviceError for a device that is not there.
    """
    if given.device is not None:
        from engine.sinks.device_list import check_channels, find_device

        given.device = find_device(given.device)
        check_channels(given.device, given.channels)
    asked: list[int] = []
    # Noted, not raised: an exception within Popen.poll would leave its lock held for ever.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: asked.append(got))
    return asked


def given_up(name: str, child: Child, code: int, budget: Restarts) -> int | None:
    """What to exit with after a child has ended once too often; None to start it again.

    `name` is what to call it. One that ended young is to be started after a pause, taken here.
    """
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    if not budget.allowed(monotonic()):
        say(f"perpetuo: {name} {how}, again; it is not started any more")
        return PerpetuoError.exit_code
    say(f"perpetuo: {name} {how}; it is started again")
    if monotonic() - child.began_s < YOUNG_S:
        time.sleep(PAUSE_S)
    return None


class Report:
    """Tells systemd how it goes, if it asks."""

    def __init__(self) -> None:
        self.ready = False
        """True once listeners may come."""
        self._notifier = Notifier()
        self._told_s = 0.0

    def look(self, feed_beat_s: float, restarts: str) -> None:
        """Now and then: when the feed was last at work, 0 before, and what was started again."""
        if not self.ready and feed_beat_s:
            self.ready = True
            self._notifier.ready()
        now_s = monotonic()
        if now_s - self._told_s > min(TELL_S, (self._notifier.watchdog_s or TELL_S) / 4):
            self._told_s = now_s
            self._notifier.alive(f"playing; started again: {restarts}")

    def end(self) -> None:
        """The end has begun."""
        self._notifier.stopping()
