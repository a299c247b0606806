"""Work that is put off is done once, in order, when it is asked for."""

from __future__ import annotations

from functools import partial

import pytest

from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls
from engine.generator import Generator
from engine.later import Later


def test_it_is_done_once_and_in_order() -> None:
    done: list[str] = []
    later = Later()
    later.settle()
    later.put_off(partial(done.append, "first"))
    assert done == []
    later.put_off(partial(done.append, "second"))
    assert done == []
    later.settle()
    later.settle()
    assert done == ["first", "second"]


def test_work_that_fails_is_not_done_again() -> None:
    later = Later()
    later.put_off(lambda: [].pop())
    with pytest.raises(IndexError):
        later.settle()
    later.settle()


@pytest.mark.parametrize("rests", ["always", "never", "now and then"])
def test_music_is_the_same_whether_there_is_time_or_not(rests: str, asked_bundle: Bundle) -> None:
    every = {"always": 1, "never": 10**9, "now and then": 3}[rests]
    streams = []
    for rest_every in (1, every):
        generator = Generator(asked_bundle, standin.StandIn(asked_bundle), seed=3)
        controls = Controls(asked_bundle.manifest.controls).snapshot()
        blocks = []
        for turn in range(12):
            blocks.append(generator.tick(controls).audio)
            if turn % rest_every == 0:
                generator.rest()
        streams.append(blocks)
    for one, other in zip(*streams, strict=True):
        assert (one == other).all()
