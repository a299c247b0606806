"""`perpetuo serve --sessions N`: what its streams begin with, and the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.cli import parser
from engine.commands.sessions import open_pool, opener
from engine.commands.stream import Stream, open_stream
from engine.errors import ControlError, RoomError
from engine.generator import Generator
from engine.pool import Pool
from engine.sinks.sessions import Opener

SERVE = ["serve", "--backend", "standin", "--sessions", "2"]


def opened(*more: str) -> tuple[Stream, Pool, Opener]:
    given = parser().parse_args([*SERVE, *more])
    stream = open_stream(given)
    pool = open_pool(given, stream)
    return stream, pool, opener(pool, stream)


@pytest.fixture
def hall() -> Iterator[tuple[Stream, Pool, Opener]]:
    made = opened("--steps", "8", "--bpm", "96", "--prompt", "jazz")
    yield made
    made[1].close()


def test_a_session_begins_as_the_house_did_but_with_its_own_seed(
    hall: tuple[Stream, Pool, Opener],
) -> None:
    stream, pool, begin = hall
    stream.controls.set("bpm", 70)  # the house has gone on since
    session = begin(7)
    controls = session.programme.controls
    now = controls.snapshot()
    assert (now.values["bpm"], now.values["seed"], now.values["steps"]) == (96.0, 7.0, 8.0)
    np.testing.assert_array_equal(now.prompt, stream.controls.snapshot().prompt)
    assert session.programme.prompted == stream.prompted
    assert pool.taken == 1
    session.stop()
    assert pool.taken == 0


def test_its_steps_go_no_further_than_the_house_s(hall: tuple[Stream, Pool, Opener]) -> None:
    _, _, begin = hall
    session = begin(7)
    controls = session.programme.controls
    controls.set("steps", 2)
    with pytest.raises(ControlError, match="steps is 9"):
        controls.set("steps", 9)
    session.stop()


def test_there_are_as_many_places_as_asked_for_and_one_for_the_house(
    hall: tuple[Stream, Pool, Opener],
) -> None:
    _, pool, _ = hall
    assert pool.slots == 3


def test_a_session_goes_on_from_the_take_of_the_house(tmp_path: Path, take: np.ndarray) -> None:
    soundfile.write(tmp_path / "take.wav", take, 24000)
    stream, pool, begin = opened("--from", str(tmp_path / "take.wav"))
    session = begin(3)
    heard = np.zeros((stream.generator.chunk_samples, 1), np.float32)
    ring = session.programme.ring
    while ring.fill_samples < heard.shape[0]:
        pass
    ring.read_into(heard)
    session.stop()
    pool.close()
    alone = Generator(stream.bundle, _backend(stream))
    alone.prime(stream.take)
    expected = alone.tick(session.programme.controls.snapshot()).audio
    np.testing.assert_array_equal(heard, expected)


def _backend(stream: Stream):
    from engine.backends.standin import StandIn

    return StandIn(stream.bundle)


def test_nobody_is_let_in_before_the_house_was_measured(
    hall: tuple[Stream, Pool, Opener],
) -> None:
    stream, pool, begin = hall
    pool.seat(stream.controls, make=lambda: stream.generator).start()
    with pytest.raises(RoomError, match="measured"):
        begin(1)
    assert pool.taken == 1


@pytest.mark.parametrize("places", ["-1", "x", "1001", "1.5"])
def test_numbers_of_sessions_that_make_no_sense_are_refused(places: str) -> None:
    with pytest.raises(Exception, match="no whole number from 0 to 1000"):
        parser().parse_args(["serve", "--sessions", places])
