"""A house's music on a screen in another process: the view goes there, and orders come back.

The view lies on the board of the house's area, orders are pickles in a small pipe between processes
that one watcher has begun. Both outlive the house: its screen shows the last view until the next
house has one, and what is pressed meanwhile is lost.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from time import monotonic

from engine.commands.terminal import Said
from engine.process.house import MOST_MESSAGE_BYTES, Area, House
from engine.rig.glance import Glance
from engine.rig.orders import Order, SetControls
from engine.rig.view import View
from engine.spec import ControlSpec

EVERY_S = 0.1
ASKED_S = 0.5
"""For so long what was asked counts as done: a key that repeats goes on from it."""


class Shown:
    """The house's end."""

    def __init__(self, area: Area, pipe: int, glance: Glance, ask: Callable[[Order], None]) -> None:
        self._area, self._glance, self._ask = area, glance, ask
        self._socket = socket.socket(fileno=pipe)
        self._socket.setblocking(False)
        self._due_s = 0.0
        self._orders()  # what was meant for another house

    def begin(self) -> None:
        """Tell which controls there are, and hear orders from now on, in the running loop."""
        said = self._area.about.read() or {}
        specs = [asdict(spec) for spec in self._glance.specs.values()]
        self._area.about.publish({**said, "controls": specs})
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def look(self, now_s: float) -> None:
        """Put up another view when it is time."""
        if now_s >= self._due_s and self._glance.ready:
            self._due_s = now_s + EVERY_S
            self._area.status.publish(self._glance.view().to_json())

    def _hear(self) -> None:
        for order in self._orders():
            self._ask(order)
        self._due_s = 0.0

    def _orders(self) -> list[Order]:
        found: list[Order] = []
        with suppress(BlockingIOError):
            while True:
                found.append(pickle.loads(self._socket.recv(MOST_MESSAGE_BYTES)))
        return found


class Seen:
    """The screen's end: what it looks at (`engine.rig.view.Sight`), and where its orders go."""

    def __init__(self, house: House, area: Area, pipe: int, said: Said) -> None:
        self._house, self._area, self._said = house, area, said
        self._socket = socket.socket(fileno=pipe)
        self._socket.setblocking(False)
        self._read = 0  # the number of what `_specs` were read from
        self._specs: dict[str, ControlSpec] = {}
        self._asked: dict[str, tuple[float | None, float]] = {}  # the value, and until when

    @property
    def ready(self) -> bool:
        """True while a house gives signs of life, and has shown something."""
        return bool(self._house.feed_beat_s.value and self._area.status.count and self.specs)

    @property
    def specs(self) -> Mapping[str, ControlSpec]:
        """The controls of the present house."""
        about = self._area.about
        if about.count != self._read:
            self._read, said = about.count, about.read()
            found = [ControlSpec(**one) for one in said.get("controls", ())]
            self._specs = {spec.name: spec for spec in found}
        return self._specs

    def values(self) -> Mapping[str, float | None]:
        """As they were shown last, with what was asked since."""
        now_s, said = monotonic(), self._area.status.read() or {"values": {}}
        asked = {name: value for name, (value, until_s) in self._asked.items() if until_s > now_s}
        return {**said["values"], **asked}

    def view(self) -> View:
        """What the house has shown last."""
        return View.from_json(self._area.status.read())

    @property
    def lines(self) -> list[str]:
        """What was said."""
        return self._said.lines()

    def tell(self, line: str) -> None:
        """A line among what is said."""
        self._said.say(line)

    def ask(self, order: Order) -> None:
        """Send an order; one that finds no room is lost."""
        if isinstance(order, SetControls):
            until_s = monotonic() + ASKED_S
            numbers = {name: value for name, value in order.values.items()
                       if not isinstance(value, str)}  # fmt: skip
            self._asked |= {name: (value, until_s) for name, value in numbers.items()}
        with suppress(OSError):
            self._socket.send(pickle.dumps(order))
