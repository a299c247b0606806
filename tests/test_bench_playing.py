"""bench.playing: what the player makes is what the engine makes."""

from __future__ import annotations

import numpy as np
import pytest

from bench.playing import Player
from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import ControlSnapshot
from engine.generator import Generator


@pytest.fixture(params=[1, 2])
def stereo_or_mono(request: pytest.FixtureRequest) -> Bundle:
    return standin.bundle(channels=request.param)


def test_music_is_as_long_as_asked_and_told_as_it_is_made(stereo_or_mono: Bundle) -> None:
    player = Player(stereo_or_mono, standin.StandIn(stereo_or_mono))
    made: list[float] = []
    audio = player.play(np.zeros(24_000) + 0.1, 1.5, seed=1, progress=made.append)
    assert audio.shape == (36_000,)
    assert sum(made) == pytest.approx(1.5)


def test_the_same_seed_plays_the_same_and_it_is_the_generators(
    bundle: Bundle, backend: standin.StandIn, generator: Generator, snapshot: ControlSnapshot
) -> None:
    generator.prime(None)
    block = generator.tick(snapshot).audio[:, 0]
    audio = Player(bundle, backend).play(None, 0.5, seed=0)
    assert np.array_equal(audio[: len(block)], block)
    assert np.array_equal(audio, Player(bundle, backend).play(None, 0.5, seed=0))
    assert not np.array_equal(audio, Player(bundle, backend).play(None, 0.5, seed=1))


def test_a_copy_has_the_length_of_its_original(bundle: Bundle, backend: standin.StandIn) -> None:
    original = 0.2 * np.sin(2 * np.pi * 300 * np.arange(10_001) / 24_000)
    copy = Player(bundle, backend).copy(original)
    assert copy.shape == original.shape
    assert np.abs(copy).max() > 0.01


def test_a_melody_holds_more_kinds_of_tokens_than_a_tone(bundle: Bundle) -> None:
    hearing = standin.bundle(prompting=True)
    player = Player(hearing, standin.StandIn(hearing))
    seconds = np.arange(17 * 24_000) / 24_000
    notes = 220 * 2 ** ((seconds % 8 // 2) / 3)  # four of them, two seconds each
    tone, melody = (0.3 * np.sin(2 * np.pi * hz * seconds) for hz in (220.0, notes))
    assert len(player.kinds(tone)) == len(player.kinds(melody)) == 2  # the last second is no window
    assert max(player.kinds(tone)) < 4 <= min(player.kinds(melody))
    assert Player(bundle, standin.StandIn(bundle)).kinds(melody) == []
