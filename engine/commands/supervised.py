"""`perpetuo serve`: the watcher of an engine and a feed, each a process of its own.

It holds the memory and the pipes that they share, so either may die at any moment and be followed
by another. An engine that ends, or gives no sign of life, is replaced: the feed keeps the music
going meanwhile, and the new engine goes on from what the last one made. A feed that ends is
replaced at the same door, in a new epoch. SIGUSR1 has another engine load the bundle anew beside
the one that plays; when it has music it takes over, and if it cannot play, nothing changes. Where
there is memory for it, one more engine has loaded and waits, to be the next.
"""

from __future__ import annotations

import os
import signal
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Literal

from engine.commands import say
from engine.commands.child import FORMAT_CHANGED, Child, Errand
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
from engine.process.house import AREAS, Area, House, pipe_ends
from engine.process.patience import Patience
from engine.process.restarts import Restarts

SPARE_S = 10.0
"""After so long with music an engine is loaded that waits, or tried again."""

Role = Literal["engine", "feed"]


def supervise(given: Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code of what could not be started at all.

    DeviceError at once for a device that is not there: one that gets lost later comes back.
    """
    asked = prepared(given)
    watcher = Watcher(given, asked)
    signal.signal(signal.SIGUSR1, lambda *_: watcher.ask_for_swap())
    try:
        return watcher.watch()
    finally:
        watcher.end()


class Watcher:
    """Starts, watches and replaces the two; `watch` returns when that has become vain."""

    def __init__(self, given: Namespace, asked: Sequence[int]) -> None:
        """`asked` holds the signals that came: the first of them ends it."""
        self._given, self._asked = given, asked
        self._house = House.made()
        self._areas = [Area.made() for _ in range(AREAS)]
        self._ends = [pipe_ends() for _ in range(AREAS)]
        self._budgets = {role: Restarts(given.restarts) for role in ("engine", "feed")}
        self._report = Report()
        self._number = 0
        self._patience = Patience(2 * LOOK_S)
        self._swap_asked = False
        self._coming: Child | None = None  # an engine that is to take over
        self._leaving: list[Child] = []
        self._spare: Child | None = None  # an engine that has loaded, and waits
        self._spare_due_s = 0.0
        self._engine = self._new_engine()
        self._feed = self._new_feed()

    def ask_for_swap(self) -> None:
        """Load the bundle anew, when there is time."""
        self._swap_asked = True

    def watch(self) -> int:
        """Until a signal comes, or one of them cannot be started again: then what to exit with."""
        while not self._asked:
            if (code := self._look()) is not None:
                return code
            engines, feeds = self._house.engine_restarts.value, self._house.feed_restarts.value
            self._report.look(self._house.feed_beat_s.value, f"engine {engines}, feed {feeds}")
            time.sleep(LOOK_S)
        return SIGNALLED + self._asked[0]

    def end(self) -> None:
        """End all of them: the feed first, so that it can say goodbye while there is music."""
        self._report.end()
        others = [child for child in (self._coming, self._spare) if child is not None]
        for together in ([self._feed], [self._engine, *others, *self._leaving]):
            for child in together:
                child.ask_to_end()
            for child in together:
                child.wait(END_S)

    # ---- one look -----------------------------------------------------------------------------

    def _look(self) -> int | None:
        """All that may have happened; an exit code if it is the end."""
        self._leaving = [child for child in self._leaving if child.ended() is None]
        self._look_at_swap()
        self._look_at_spare(monotonic())
        self._look_for_life()
        if (code := self._engine.ended()) is not None:
            if (end := self._after("engine", self._engine, code)) is not None:
                return end
            self._house.engine_restarts.value += 1
            self._engine, self._coming = self._coming or self._next_engine(), None
        if (code := self._feed.ended()) is not None:
            if code != FORMAT_CHANGED:
                if (end := self._after("feed", self._feed, code)) is not None:
                    return end
                self._house.feed_restarts.value += 1
            self._feed = self._new_feed()
        return None

    def _look_for_life(self) -> None:
        """End what gives no sign of life, or never gave its first."""
        beats = {self._feed: self._house.feed_beat_s.value}
        for engine in (self._engine, self._coming):
            if engine is not None:
                beats[engine] = self._beat_of(engine)
        signs = {child.pid: beat_s for child, beat_s in beats.items()}
        silent_s = self._patience.silent_s(monotonic(), signs)
        for child, beat_s in beats.items():
            late = silent_s[child.pid] > (STALE_S if beat_s else BEGIN_S)
            waits = child is self._feed and not self._house.engine.value  # for the first engine
            if late and not waits and child.ended() is None:
                child.kill()

    def _beat_of(self, engine: Child) -> float:
        beat_s: float = self._areas[engine.errand.number % AREAS].beat_s.value
        return beat_s

    def _after(self, role: Role, child: Child, code: int) -> int | None:
        """What to exit with after a child has ended; None to start it again."""
        if not self._report.ready and code > 0:  # it said why
            return code
        return given_up(f"the {role}", child, code, self._budgets[role])

    def _look_at_swap(self) -> None:
        """Begin a swap that was asked for; end one that is done, or cannot be."""
        if self._coming is None:
            if self._swap_asked and self._report.ready:
                self._swap_asked = False
                self._coming = self._new_engine()
        elif self._coming.ended() is not None:
            self._coming = None
            say(REFUSED)
        elif self._house.engine.value == self._coming.errand.number:
            self._hand_over(self._coming)

    def _hand_over(self, engine: Child) -> None:
        self._leaving.append(self._engine)
        self._engine.ask_to_end()
        self._engine, self._coming = engine, None
        if self._spare is not None:  # it has loaded the bundle of before
            self._spare.kill()
        say(TAKEN_UP)

    def _look_at_spare(self, now_s: float) -> None:
        """Have an engine that waits, where there is memory for it and time to load it."""
        if self._spare is not None and self._spare.ended() is not None:
            self._spare, self._spare_due_s = None, now_s + SPARE_S
        if (
            self._given.spare
            and self._spare is None
            and self._report.ready
            and self._coming is None
        ):
            due_s = max(self._spare_due_s, self._engine.began_s + SPARE_S)
            if now_s >= due_s and self._beat_of(self._engine):
                self._spare_due_s = now_s + SPARE_S
                if room_for_another(self._engine.pid):
                    self._spare = Child(replace(self._errand("engine", 0), number=0))

    # ---- children -----------------------------------------------------------------------------

    def _new_engine(self) -> Child:
        """An engine in the area that is not heard now."""
        self._next_number()
        return Child(self._errand("engine", 0))

    def _next_engine(self) -> Child:
        """The same, from the one that waits if it has loaded."""
        spare = self._spare
        if spare is None or spare.ended() is not None or self._house.spare.value != spare.pid:
            return self._new_engine()
        self._spare = None
        self._next_number()
        spare.go(self._number)
        return spare

    def _next_number(self) -> None:
        heard = self._house.engine.value
        self._number += 1
        if heard and self._number % AREAS == heard % AREAS:
            self._number += 1
        self._areas[self._number % AREAS].beat_s.value = 0.0

    def _new_feed(self) -> Child:
        self._house.feed_beat_s.value = 0.0
        return Child(self._errand("feed", 1))

    def _errand(self, role: Role, end: int) -> Errand:
        return Errand(
            role, self._given, self._house.memory.fd,
            tuple(area.memory.fd for area in self._areas),
            tuple(ends[end].fileno() for ends in self._ends), self._number,
        )  # fmt: skip


def room_for_another(pid: int, proc: Path = Path("/proc")) -> bool:
    """True if twice the memory of this process is to be had; False where nobody says."""
    try:
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
        free = next(
            int(line.split()[1]) << 10
            for line in (proc / "meminfo").read_text().splitlines()
            if line.startswith("MemAvailable:")
        )
    except (OSError, StopIteration, ValueError):
        return False
    return free > 2 * pages * os.sysconf("SC_PAGE_SIZE")
