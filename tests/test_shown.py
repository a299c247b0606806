"""A house's music on a screen in another process: both ends, in this one."""

from __future__ import annotations

import asyncio
from time import monotonic

import numpy as np
import pytest

from engine.bundle import Bundle
from engine.commands import shown
from engine.commands.shown import Seen, Shown
from engine.commands.terminal import Said
from engine.controls import Controls
from engine.process.house import Area, House, pipe_ends
from engine.rig.desk import Desk
from engine.rig.glance import Glance
from engine.rig.orders import Hush, Order, SetControls, SetPrompts, Words
from engine.rig.show import Scene, Show
from engine.status import RunnerStatus

STATUS = RunnerStatus(fill_samples=2400, rungs=((1, 0.0), (2, 1.5)))


class Two:
    """A house and its screen."""

    def __init__(self, bundle: Bundle) -> None:
        self.house, self.area, self.ends = House.made(), Area.made(), pipe_ends()
        self.controls = Controls(bundle.manifest.controls)
        self.desk = Desk(
            self.controls, 24000, show=Show({"calm": Scene({"bpm": 60.0})}),
            embed=lambda _: np.array([1], np.float32),
        )  # fmt: skip
        self.glance = Glance(self.desk, "title", 24000)
        self.given: list[Order] = []
        self.said = Said.made()
        self.seen = Seen(self.house, self.area, self.ends[1].detach(), self.said)

    def opened(self) -> Shown:
        """The house's end, which hears."""
        made = Shown(self.area, self.ends[0].dup().detach(), self.glance, self.take)
        made.begin()
        return made

    def take(self, order: Order) -> None:
        self.given.append(order)
        self.desk.take(order)

    def play(self, end: Shown) -> None:
        self.glance.music = lambda: STATUS
        self.house.feed_beat_s.value = monotonic()
        end.look(monotonic())


@pytest.fixture
def two(asked_bundle: Bundle) -> Two:
    return Two(asked_bundle)


async def test_the_view_arrives_as_it_is(two: Two) -> None:
    assert not two.seen.ready
    end = two.opened()
    end.look(monotonic())
    assert not two.seen.ready
    two.desk.take(SetPrompts((Words("slow", 2.0),)))
    two.play(end)
    assert two.seen.ready
    assert two.seen.view() == two.glance.view()
    assert two.seen.specs == two.glance.specs
    assert two.seen.values() == two.glance.values()
    two.seen.tell("a line")
    assert two.seen.lines == ["a line"]


async def test_orders_are_carried_out_and_count_at_once(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = two.opened()
    two.play(end)
    two.seen.ask(SetControls({"mute": 1.0, "tonic": "A"}))
    two.seen.ask(Hush())
    assert two.seen.values()["mute"] == 1 and two.glance.values()["mute"] == 0
    async with asyncio.timeout(20):
        while len(two.given) < 2:
            await asyncio.sleep(0.01)
    assert two.glance.values()["mute"] == 1 and isinstance(two.given[1], Hush)
    monkeypatch.setattr(shown, "monotonic", lambda: monotonic() + 2 * shown.ASKED_S)
    assert two.seen.values()["mute"] == 0  # as it was shown last
    end.look(monotonic())
    assert two.seen.values()["mute"] == 1


async def test_what_was_meant_for_another_house_is_dropped(two: Two) -> None:
    for _ in range(1000):  # more than there is room for
        two.seen.ask(Hush())
    two.play(two.opened())
    two.seen.ask(SetControls({"mute": 1.0}))
    async with asyncio.timeout(20):
        while not two.given:
            await asyncio.sleep(0.01)
    assert two.given == [SetControls({"mute": 1.0})]
    two.house.feed_beat_s.value = 0.0
    assert not two.seen.ready
