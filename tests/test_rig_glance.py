import numpy as np
import pytest

from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Block
from engine.rig.desk import Desk
from engine.rig.glance import Glance, fader
from engine.rig.orders import SetPrompts, Words
from engine.status import RunnerStatus


class Seen:
    """A glance at a desk and a place in the music."""

    def __init__(self, bundle: Bundle) -> None:
        self.controls = Controls(bundle.manifest.controls)
        self.desk = Desk(self.controls, 24000, embed=lambda _: np.array([1], np.float32))
        self.glance = Glance(self.desk, "title", 24000)
        self.sample = 0
        self.glance.played = lambda: self.sample
        self.glance.music = lambda: RunnerStatus(fill_samples=2400)

    def block(self, position: int, index: int, revision: int, cover: bool = False) -> None:
        audio, latents = np.zeros((7680, 1), np.float32), np.zeros((16, 8), np.float32)
        self.glance.note(
            Block(audio, index, position, revision, (), {}, 1, 1, 0.0, latents, cover=cover)
        )


@pytest.fixture
def seen(asked_bundle: Bundle) -> Seen:
    return Seen(asked_bundle)


def test_what_sounds_is_the_block_at_the_place_played(seen: Seen) -> None:
    view = seen.glance.view()
    assert (view.chunk, view.sounding, view.fill_s) == (None, 0, 0.1)
    seen.block(0, 4, 2)
    seen.block(7680, -1, 9, cover=True)
    seen.block(15360, 5, 9)
    found = []
    for sample in (0, 8000, 16000):
        seen.sample = sample
        view = seen.glance.view()
        found.append((view.chunk, view.sounding))
    assert found == [(4, 2), (4, 2), (5, 9)]
    assert (view.bar, view.beat) == (1, 2)


def test_ideas_are_followed_until_they_are_heard_and_hands_are_not(seen: Seen) -> None:
    seen.block(0, 0, 0)
    assert seen.glance.view().heard_at_s == 0
    seen.controls.set("gain_db", -6)
    assert seen.glance.view().heard_at_s == 0
    seen.controls.set("bpm", 90)
    assert seen.glance.view().heard_at_s is None
    seen.block(24000, 1, 1)
    assert seen.glance.view().heard_at_s is None
    seen.block(48000, 2, 2)
    assert seen.glance.view().heard_at_s == 2
    for number in range(300):  # the block itself is long forgotten
        seen.block(72000 + 24000 * number, 3 + number, 2)
    assert seen.glance.view().heard_at_s == 2


def test_prompts_and_lines(seen: Seen) -> None:
    seen.desk.take(SetPrompts((Words("slow", 2.0),)))
    seen.glance.tell("one")
    seen.glance.tale("/scene", "calm")
    view = seen.glance.view()
    assert (view.prompts, view.scene) == ((("slow", 2.0),), "calm")
    seen.glance.tale("/state", "verse")
    seen.glance.tale("/beat", 1, 2)
    view = seen.glance.view()
    assert (seen.glance.lines, view.scene) == (("one", "scene calm", "state verse"), "")
    seen.controls.set_prompt(None)
    assert seen.glance.view().prompts is None


def test_faders_in_words(seen: Seen) -> None:
    specs = seen.controls.specs

    def shown(name: str, value: float | None) -> tuple[str, float | None]:
        found = fader(specs[name], {name: value})
        return found.shown, found.place

    assert shown("bpm", None) == ("free", None)
    assert shown("bpm", 40.0) == ("40", 0.0)
    assert shown("gain_db", 6.0) == ("6 dB", 1.0)
    assert shown("hold", 1.0) == ("on", 1.0)
    assert shown("drums", 0.0) == ("off", 0.0)
    assert shown("tonic", 9.0)[0] == "A"
    assert shown("steps", 10.0)[0] == "10"
    assert shown("density", 0.25)[0] == "0.25"
