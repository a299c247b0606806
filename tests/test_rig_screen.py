from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Input

from engine.bundle import Bundle
from engine.commands.shown import Seen
from engine.commands.terminal import Said
from engine.controls import Controls
from engine.generator import Block
from engine.process.house import Area, House, pipe_ends
from engine.rig.desk import Desk
from engine.rig.glance import Glance
from engine.rig.orders import Order, Restore, Save, Words
from engine.rig.screen import Panels, typed, words_of
from engine.rig.show import Scene, Show
from engine.status import RunnerStatus

SHOW = Show({"calm": Scene({"bpm": 60.0}, (Words("slow pads"),)), "wild": Scene({"bpm": 180.0})})
STATUS = RunnerStatus(
    fill_samples=12000, last_tick_s=0.09, budget_s=0.32, real_time_factor=0.28, steps=10,
    lead_s=0.2, spare_s=0.1, rungs=tuple((n, 0.05) for n in range(20)),
)  # fmt: skip
PLACE = np.array([1, 0], np.float32)


class Hall:
    """A screen, and the desk that its orders are carried out on at once."""

    def __init__(self, bundle: Bundle) -> None:
        self.controls = Controls(bundle.manifest.controls)
        self.desk = Desk(self.controls, 24000, show=SHOW, embed=lambda _: PLACE)
        self.glance = Glance(self.desk, " perpetuo · standin 1", 24000)
        self.glance.music = lambda: STATUS
        self.glance.played = lambda: 24000
        self.given: list[Order] = []
        self.over = False
        self.app = Panels(self.glance, self.take, lambda: self.over)

    def take(self, order: Order) -> None:
        self.given.append(order)
        self.desk.take(order)
        for tale in self.desk.tales():
            self.glance.tale(*tale)

    def value(self, name: str) -> float | None:
        return self.controls.snapshot().values[name]

    def shown(self, name: str) -> str:
        return self.app._drawn[name].plain


@pytest.fixture
def hall(asked_bundle: Bundle) -> Hall:
    return Hall(asked_bundle)


async def test_hands_have_their_keys(hall: Hall) -> None:
    async with hall.app.run_test() as pilot:
        await pilot.press("space")
        assert hall.value("hold") == 1
        await pilot.press("space", "m")
        assert (hall.value("hold"), hall.value("mute")) == (0, 1)
        await pilot.press("f")
        assert hall.value("fade") == 4
        await pilot.press("f", "p")
        assert (hall.value("fade"), hall.value("panic")) == (0, 1)
        await pilot.press("p", "plus", "plus", "minus")
        assert (hall.value("panic"), hall.value("gain_db")) == (0, 1)
        await pilot.press("h")
        hall.desk.played(10**6, 0.0)
        assert hall.value("fade") == 0.3


async def test_scenes_and_what_they_wait_for(hall: Hall) -> None:
    async with hall.app.run_test() as pilot:
        await pilot.press("1")
        assert hall.value("bpm") == 60
        hall.app._look()
        assert "slow pads" in hall.shown("prompts")
        assert "1 calm  2 wild" in hall.shown("scenes")
        await pilot.press("q", "q")
        assert hall.desk.unit == "bar"
        await pilot.press("2", "9")
        assert hall.value("bpm") == 60
        hall.desk.made(10**7)
        assert hall.value("bpm") == 180


async def test_faders_are_chosen_and_turned(hall: Hall) -> None:
    names = list(hall.controls.specs)
    async with hall.app.run_test() as pilot:
        await pilot.press("down", "up")
        hall.app.action_choose(names.index("density"))
        await pilot.press("right", "right")
        assert hall.value("density") == pytest.approx(0.5 + 0.05)
        await pilot.press("x")
        assert hall.value("density") is None
        hall.app.action_choose(names.index("steps") - names.index("density"))
        await pilot.press("right")
        assert hall.value("steps") == 11
        await pilot.press("x")  # this one cannot be free
        assert hall.value("steps") == 11
        hall.app.action_choose(names.index("seed") - names.index("steps"))
        await pilot.press("left")
        assert hall.value("seed") == 0


async def test_words_and_names_are_typed(hall: Hall) -> None:
    async with hall.app.run_test() as pilot:
        await pilot.press("t")
        assert hall.app.query_one("#ask", Input).display
        await pilot.press("a", "plus", "minus")
        assert hall.app.query_one("#ask", Input).value == "a+-"
        await pilot.press("escape")  # never mind
        assert hall.controls.snapshot().prompt is None
        await pilot.press("t")
        hall.app.query_one("#ask", Input).value = "dark jazz + 0.5:strings"
        await pilot.press("enter")
        assert hall.desk.prompts == (Words("dark jazz"), Words("strings", 0.5))
        await pilot.press("t")
        assert hall.app.query_one("#ask", Input).value == "dark jazz + 0.5:strings"
        hall.app.action_leave_question()
        await pilot.press("s", "a", "enter")
        assert hall.given[-1] == Save("a")
        hall.glance.states = lambda: ["verse", "chorus"]
        await pilot.press("r", "enter")
        assert hall.given[-1] == Restore("verse")
        await pilot.press("space")  # keys are hands again
        assert hall.value("hold") == 1


async def test_it_shows_how_the_music_does(hall: Hall) -> None:
    hall.glance.underruns = lambda: 3
    hall.glance.tell("rate_limited: 5 OSC messages")
    hall.glance.note(_block(0, 0))
    async with hall.app.run_test(size=(100, 30)):
        assert "500 ms ahead" in hall.shown("meters")
        assert "90 of 320 ms" in hall.shown("meters")
        assert "underruns 3" in hall.shown("meters")
        assert "bar 1.3" in hall.shown("head")
        assert "rate_limited" in hall.shown("messages")
        assert "heard since 0:00.0" in hall.shown("revisions")
        hall.controls.set("bpm", 90)
        hall.app._look()
        assert "newest with the next chunk" in hall.shown("revisions")
        hall.glance.note(_block(30000, 1))
        hall.app._look()
        assert "newest heard in 0.2 s" in hall.shown("revisions")


@pytest.mark.parametrize("size", [(200, 60), (20, 5)])
async def test_any_terminal_will_do(hall: Hall, size: tuple[int, int]) -> None:
    async with hall.app.run_test(size=size) as pilot:
        await pilot.resize_terminal(60, 20)
        await pilot.press("down", "t", "escape")


async def test_before_the_music_and_after_it(hall: Hall) -> None:
    hall.glance.music = None
    async with hall.app.run_test() as pilot:
        assert "first music" in hall.shown("head")
        await pilot.press("t", "escape", "space")
        hall.over = True
        hall.app._look()
        await pilot.pause()
    assert not hall.app.is_running


async def test_when_the_music_is_gone_it_says_so_until_it_is_back(hall: Hall) -> None:
    music = hall.glance.music
    async with hall.app.run_test():
        assert "ahead" in hall.shown("meters")
        hall.glance.music = None
        hall.app._look()
        assert "perpetuo begins anew" in hall.shown("head")
        hall.glance.music = music
        hall.app._look()
        assert "perpetuo begins anew" not in hall.shown("head")


async def test_a_picture_of_it(hall: Hall, tmp_path: Path) -> None:
    async with hall.app.run_test(size=(100, 30)):
        hall.app.save_screenshot("screen.svg", str(tmp_path))
    assert "ahead" in (tmp_path / "screen.svg").read_text()


def test_prompts_as_they_are_typed() -> None:
    assert words_of("") == ()
    assert words_of("slow: pads") == (Words("slow: pads"),)
    assert words_of(" a + 2:b ") == (Words("a"), Words("b", 2.0))
    assert typed("b", 2.0) == "2:b"


def _block(position: int, revision: int) -> Block:
    audio, latents = np.zeros((7680, 1), np.float32), np.zeros((16, 8), np.float32)
    return Block(audio, 3, position, revision, (), {}, 10, 10, 0.1, latents)


async def test_while_nothing_plays_keys_do_nothing(hall: Hall) -> None:
    async with hall.app.run_test() as pilot:
        assert "ms ahead" in hall.shown("meters")
        hall.glance.music = None  # what plays is being replaced
        hall.glance.tell("it is started again")
        await pilot.press("space", "plus", "right", "x", "1", "q", "f", "h", "p", "down", "s")
        await pilot.press("a", "enter")
        hall.app._look()
        assert hall.shown("head") == " perpetuo begins anew …"
        assert "it is started again" in hall.shown("messages")
        assert "ms ahead" in hall.shown("meters")
    assert hall.given == []


async def test_without_controls_keys_do_nothing() -> None:
    """As where another process has not told which there are."""
    two, ends = (House.made(), Area.made()), pipe_ends()
    app = Panels(Seen(*two, ends[1].detach(), Said.made()), lambda _: None)
    async with app.run_test() as pilot:
        await pilot.press("space", "plus", "right", "x", "1", "q", "f", "up", "down", "t", "escape")
        assert app._drawn["head"].plain == " perpetuo makes its first music …"
    assert not app.return_code
