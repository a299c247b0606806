"""bench.streams: streams in step are what each is alone, and only what is looked at is heard."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bench import streams
from bench.asks import Wish
from bench.playing import Format
from bench.steering import Steerer
from bench.streams import Asked, Minute, Streams
from engine.backends import standin
from engine.controls import Controls
from engine.generator import Generator

BUNDLE = standin.bundle(prompting=True)
WISHES = [Asked(3, Wish("slow ambient")), Asked(4, Wish("dark bass"))]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STRETCH_S", 4.0)
    monkeypatch.setattr(streams, "MINUTE_S", 4.8)


def alone(asked: Asked) -> Minute:
    """The first stretch of one stream by itself."""
    backend = standin.StandIn(BUNDLE)
    steerer, controls = Steerer(BUNDLE, backend), Controls(BUNDLE.manifest.controls)
    steerer.ask(controls, asked.wish)
    audio = steerer.play(Generator(BUNDLE, backend, seed=asked.seed), controls, 4.0)
    rate_hz = Format(BUNDLE).rate_hz
    return Minute.of(audio[: 4 * rate_hz], rate_hz)


def test_each_plays_as_it_would_alone() -> None:
    heard = Streams(BUNDLE, standin.StandIn(BUNDLE), WISHES).hear([1, 3])
    assert [sorted(one) for one in heard] == [[1, 3], [1, 3]]
    for asked, one in zip(WISHES, heard, strict=True):
        by_itself = alone(asked)
        np.testing.assert_allclose(one[1].features, by_itself.features, rtol=0.02, atol=0.02)
        assert one[1].level_db == pytest.approx(by_itself.level_db, abs=0.01)
        assert one[3].features.shape == one[1].features.shape == (2, 82)


def test_what_time_does_not_allow_is_left_out() -> None:
    played = Streams(BUNDLE, standin.StandIn(BUNDLE), WISHES).hear([1, 2], time.monotonic() - 1.0)
    assert played == [{}, {}]
