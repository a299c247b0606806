import threading
from pathlib import Path

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import UsageError
from engine.generator import Generator
from engine.memory import Memory
from engine.rig.memories import MOST_WAITING, Errand, Memories
from engine.rig.states import States
from tests.rigging import until


class Played:
    """A generator whose ticks are done by the test, and what asks to come between them."""

    def __init__(self, bundle: Bundle, folder: Path, depth: int = 1) -> None:
        self.generator = Generator(bundle, standin.StandIn(bundle))
        self.controls = Controls(bundle.manifest.controls)
        self.memories = Memories(States(folder), self.generator, self.controls)
        self.memories.between_ticks = self.between
        self.turned: list[bool] = []
        self.told: list[tuple[str, str]] = []

    def between(self, errand: Errand) -> None:
        self.turned.append(errand(self.generator))

    def tell(self, path: str, line: str) -> None:
        self.told.append((path, line))

    def play(self) -> np.ndarray:
        return self.generator.tick(self.controls.snapshot()).audio


@pytest.fixture
def played(asked_bundle: Bundle, tmp_path: Path):
    played = Played(asked_bundle, tmp_path)
    yield played
    played.memories.close()


def test_what_is_saved_goes_on_to_the_same_samples(played: Played, tmp_path: Path) -> None:
    played.play()
    assert played.memories.save("a", (("slow", 1.0),)) == tmp_path / "a.state.npz"
    first = played.play()
    played.play()
    memory = played.memories.load("a")
    assert memory.words is None or memory.words == ()  # there was no prompt
    played.memories.recall(memory, pytest.fail)
    np.testing.assert_array_equal(played.play(), first)
    assert played.turned == [False, True]


def test_files_are_for_a_thread_of_its_own(played: Played) -> None:
    played.memories.begin_save("a", None, played.tell)
    until(lambda: played.told)
    assert played.told[0][0] == "/note"
    assert played.told[0][1].startswith("state a is saved in ")
    loaded: list[tuple[Memory, str]] = []
    played.memories.begin_load(
        "a", lambda memory: loaded.append((memory, threading.current_thread().name)), played.tell
    )
    until(lambda: loaded)
    assert loaded[0][1] == "perpetuo-memories"
    played.memories.begin_load("b", lambda _: None, played.tell)
    until(lambda: len(played.told) > 1)
    assert played.told[1] == ("/error", "no state 'b'; there are: a")


def test_too_much_at_once_is_refused(played: Played) -> None:
    wait, inside = threading.Event(), threading.Event()
    played.memories.save("a", None)

    def block(_: Memory) -> None:
        inside.set()
        wait.wait(20)

    played.memories.begin_load("a", block, played.tell)
    assert inside.wait(20)
    for _ in range(MOST_WAITING):
        played.memories.begin_save("b", None, played.tell)
    with pytest.raises(UsageError, match="8 states are being saved or read"):
        played.memories.begin_save("b", None, played.tell)
    wait.set()
    until(lambda: len(played.told) == MOST_WAITING)


def test_what_does_not_fit_is_refused_before_it_is_due(played: Played, tmp_path: Path) -> None:
    other = Played(standin.bundle(prompting=True, depth=2), tmp_path)
    other.memories.save("deep", None)
    other.memories.close()
    with pytest.raises(UsageError, match="--depth 2, this stream has 1"):
        played.memories.load("deep")


def test_a_recall_that_fails_is_told_and_changes_nothing(played: Played) -> None:
    high = Generator(played.generator.bundle, standin.StandIn(played.generator.bundle), seed=9)
    played.memories.save("a", None)
    played.memories.between_ticks = lambda errand: played.turned.append(errand(high))
    failed: list[str] = []
    played.memories.recall(played.memories.load("a"), lambda error: failed.append(str(error)))
    assert failed[0].startswith("the state's seed is 0, this stream began with --seed 9")
    assert played.turned[-1] is False


def test_before_the_music_there_is_nothing_to_save(played: Played) -> None:
    played.memories.between_ticks = None
    with pytest.raises(UsageError, match="nothing plays yet"):
        played.memories.save("a", None)
    with pytest.raises(UsageError, match="1 … 40"):
        played.memories.save("a b", None)


def test_a_tick_that_never_ends(played: Played, monkeypatch) -> None:
    monkeypatch.setattr("engine.rig.memories.WAIT_S", 0.01)
    played.memories.between_ticks = lambda _: None
    with pytest.raises(UsageError, match="no tick has ended"):
        played.memories.save("a", None)
