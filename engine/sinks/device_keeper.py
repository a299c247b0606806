"""Keeps one process playing on the sound device: watches its life sign, kills and replaces it."""

from __future__ import annotations

import logging
from collections import Counter
from time import monotonic

from engine.ring import AudioRing
from engine.sinks import device_list
from engine.sinks.device_child import Opened, Order, play
from engine.sinks.device_memory import Memory, SharedRing
from engine.sinks.device_process import start
from engine.sinks.device_pump import Pump

RING_S = 1.0
LIFE_S = 1.0
"""A device that plays has called by then."""

OPEN_S = 5.0
"""What opening a device may take, until its first callback."""

BEGIN_S = 20.0
"""What a process may take to begin, on a machine that is busy."""

RESTART_S = 1.0
"""Between two starts, at the least."""

LEAVE_S = 1.0
"""How long a child may take to leave; when the sound server has died it can hang for ever."""

log = logging.getLogger(__name__)


class Child:
    """One process that plays on the device, and what it shares with us."""

    def __init__(self, order: Order, source: AudioRing | None) -> None:
        audio = order.audio
        self.memory = Memory(round(RING_S * audio.sample_rate_hz), audio.channels)
        self.memory.head.heard_s = self._began_s = monotonic()
        self.ring = SharedRing(self.memory)
        self.pump = Pump(source, self.ring, audio.sample_rate_hz) if source else None
        self.opened: Opened | None = None
        self.trouble = ""
        self._process, self._told = start(play, order, self.memory, device_list.portaudio)

    def heed(self) -> None:
        """Take note of what it told."""
        try:
            while self._told.poll():
                told = self._told.recv()
                if isinstance(told, Opened):
                    self.opened = told
                else:
                    self.trouble = told
        except (EOFError, OSError):  # it has gone
            return

    def dead(self, now_s: float, excused_s: float) -> str:
        """Why it must be replaced, or nothing; silence until `excused_s` is not its fault."""
        if not self._process.is_alive():
            told = "" if self.opened else self.trouble
            return told or f"its process ended with {self._process.exitcode}"
        head = self.memory.head
        limit_s = LIFE_S if head.callbacks else OPEN_S
        if head.heard_s == self._began_s:
            limit_s = BEGIN_S
        silent = now_s - max(head.heard_s, excused_s) > limit_s
        return f"no life sign for {limit_s:g} s" if silent else ""

    def end(self) -> None:
        """Have it fade out and leave, if it plays; kill it if it does not."""
        if self.opened is not None and self._process.is_alive():
            self.memory.head.leaving = 1
            self._process.join(LEAVE_S)
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join(LEAVE_S)
        self._told.close()


class Keeper:
    """Not thread-safe: one thread watches; the others may look."""

    def __init__(self, order: Order, source: AudioRing | None) -> None:
        self.child: Child | None = None
        self.restarts = 0
        self.trouble = ""  # of late
        self._order = order
        self._source = source
        self._past: Counter[str] = Counter()  # counts of children that have gone
        self._next_start_s = 0.0
        self._watched_s = self._excused_s = 0.0
        self._lost_s: float | None = None

    @property
    def playing(self) -> Child | None:
        """The child, if its device is open."""
        child = self.child
        return child if child is not None and child.opened is not None else None

    @property
    def refused(self) -> bool:
        """True if the child has told why the device cannot be opened."""
        child = self.child
        return child is not None and child.trouble != ""

    @property
    def lost(self) -> bool:
        """True from the loss of the device to its return."""
        return self._lost_s is not None

    def count(self, name: str) -> int:
        """A number of the heads, over all children."""
        child, past = self.child, self._past[name]
        return past + (int(getattr(child.memory.head, name)) if child else 0)

    def watch(self, now_s: float) -> None:
        """See that there is a child, and that it lives; to be called often."""
        if now_s - self._watched_s > LIFE_S / 2:  # we slept ourselves, perhaps everything did
            self._excused_s = now_s
        self._watched_s = now_s
        if self.child is not None:
            self._look_at(self.child, now_s)
        elif now_s >= self._next_start_s:
            self._next_start_s = now_s + RESTART_S
            self.child = Child(self._order, self._source)

    def end(self) -> None:
        """Stop to play."""
        if self.child is not None:
            self.child.end()

    def _look_at(self, child: Child, now_s: float) -> None:
        opened_before = child.opened
        child.heed()
        self.trouble = child.trouble or self.trouble
        if opened_before is None and child.opened is not None:
            self._welcome(now_s)
        if problem := child.dead(now_s, self._excused_s):
            self._mourn(child, problem, now_s)

    def _welcome(self, now_s: float) -> None:
        if self._lost_s is not None:
            log.warning(
                "%s plays again after %.1f s", self._order.device.name, now_s - self._lost_s
            )
        self._lost_s = None

    def _mourn(self, child: Child, problem: str, now_s: float) -> None:
        """Put another one in its place, soon."""
        child.kill()
        self.trouble = problem
        if self._lost_s is None and child.opened is not None:
            self._lost_s = now_s
            name = self._order.device.name
            log.warning(
                "%s is lost (%s); the music goes on, the device is looked for", name, problem
            )
        self.restarts += 1
        self.child = None
        for name in ("callbacks", "underflows", "shortfalls"):
            self._past[name] += int(getattr(child.memory.head, name))
