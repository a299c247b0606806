"""The engine's process from within: what it shows, and when it gives itself up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from engine.cli import parser
from engine.commands import serve_engine
from engine.commands.child import Errand
from engine.commands.serve_engine import Engine
from engine.commands.stream import open_stream
from engine.errors import PerpetuoError
from engine.process.house import AREAS, Area, House, pipe_ends
from engine.process.memory import Memory
from engine.process.music import Format, Music
from engine.process.pipe import Pipe
from tests.watching import until


class Around:
    """The shared memory, and engines in it."""

    def __init__(self) -> None:
        self.house = House.made()
        self.areas = [Area.made() for _ in range(AREAS)]
        self.ends = [pipe_ends() for _ in range(AREAS)]
        self.given = parser().parse_args(["serve", "--backend", "standin"])

    def errand(self, number: int) -> Errand:
        pipes = tuple(ends[0].detach() for ends in self.ends)
        memories = tuple(area.memory.fd for area in self.areas)
        return Errand("engine", self.given, self.house.memory.fd, memories, pipes, number)

    @contextmanager
    def playing(self) -> Iterator[Engine]:
        stream = open_stream(self.given)
        engine = Engine(self.errand(1), self.house, self.areas, stream)
        engine.runner.start()
        try:
            engine._wait_for_music()
            engine._tell_about()
            yield engine
        finally:
            engine.stop()

    def music(self) -> Music:
        """As the feed sees it."""
        area = Area(Memory(self.areas[1].memory.fd))
        return Music(area, Format(**area.about.read()["form"]))


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Around:
    monkeypatch.setattr(serve_engine.select, "select", lambda *_: ([], [], []))
    return Around()


def test_what_it_makes_is_there_for_the_feed(around: Around) -> None:
    with around.playing() as engine:
        about, status = around.areas[1].about.read(), around.areas[1].status.read()
        assert (around.house.engine.value, about["engine"]) == (1, 1)
        assert about["chunk_samples"] == 7680 and status["budget_s"] == pytest.approx(0.32)
        music = around.music()
        until(lambda: music.marks.last and music.tail.read().size)
        out = np.empty((2400, 1), np.float32)
        music.ring.take(out, 2400)
        assert np.abs(out).max() > 0.01
        np.testing.assert_array_equal(music.tail.read()[:2400], out)
        assert engine.runner.ring.playout.started


def test_the_controls_are_those_of_the_house(around: Around) -> None:
    around.given.bpm = 90.0
    with around.playing():
        assert around.house.controls.read()["values"]["bpm"] == 90.0
    around.given.bpm = 100.0  # another engine finds them there
    around.ends = [pipe_ends() for _ in range(AREAS)]
    with around.playing() as engine:
        assert engine._controls.snapshot().values["bpm"] == 90.0


def test_it_answers_what_the_feed_asks(around: Around) -> None:
    feed = Pipe(around.ends[1][1].detach())
    with around.playing() as engine:
        said = {"ask": 5, "embed": [{"text": "warm piano", "weight": 1.0}]}
        engine._hear(said, lambda answer: answer())
        (answer,) = until(feed.read)
        assert answer["answer"] == 5
        assert np.linalg.norm(answer["place"]) == pytest.approx(1.0, abs=1e-3)


def test_nothing_but_cover_audio_ends_it(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_engine, "VAIN_S", 0.5)
    with around.playing() as engine:
        engine.runner._spare = None
        engine.runner._producer.accept = lambda _: None  # type: ignore[method-assign]
        with pytest.raises(PerpetuoError, match="begins anew"):
            drain(around, engine)


def test_music_that_is_held_ends_nothing(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_engine, "VAIN_S", 0.5)
    with around.playing() as engine:
        engine._controls.set("hold", 1)
        drain(around, engine, seconds=2.0)
        assert engine.runner.status().cover_blocks > 2


def test_a_keeper_that_stands_still_gives_no_sign_of_life(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.process.pulse.STANDSTILL_S", 0.3)
    with around.playing() as engine:
        drain(around, engine, seconds=0.5)
        assert monotonic() - around.areas[1].beat_s.value < 0.3
        engine.runner._stopping.set()
        drain(around, engine, seconds=2.0)
        assert monotonic() - around.areas[1].beat_s.value > 0.5


def test_an_engine_without_a_feed_lives(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.process.pulse.STANDSTILL_S", 0.3)
    with around.playing() as engine:
        sleep(1.5)
        engine._show(monotonic())
        assert monotonic() - around.areas[1].beat_s.value < 0.2


def test_the_next_engine_goes_on_from_what_was_played(around: Around) -> None:
    with around.playing() as engine:
        drain(around, engine, seconds=2.0)
    stream = open_stream(around.given)
    primed: list[Any] = []
    stream.generator.prime = primed.append  # type: ignore[method-assign]
    serve_engine.follow(stream, around.areas[1])
    np.testing.assert_array_equal(primed[0], around.music().tail.read())
    assert primed[0].shape[0] > 24000


def drain(around: Around, engine: Engine, seconds: float = 30.0) -> None:
    """Be the feed, and the engine's own thread, for so long."""
    music, until_s = around.music(), monotonic() + seconds
    out = np.empty((480, 1), np.float32)
    while monotonic() < until_s:
        music.ring.take(out[: min(480, music.ring.fill_samples)], 480)
        engine._show(monotonic())
        sleep(0.02)
