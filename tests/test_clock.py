import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import (
    CLOCK_SIZE,
    KEYS,
    SHORTEST_S,
    SIXTEENTHS,
    Clock,
    clock_rows,
    hear_beat,
    hear_key,
)

RATE_HZ = 25.0


def evidence(clock: Clock, first: int, count: int, noise: float = 1.0) -> np.ndarray:
    """What tokens say that fall where this clock has them, most of it noise."""
    rng = np.random.default_rng(count)
    said = noise * rng.standard_normal((count, SIXTEENTHS))
    said[np.arange(count), clock.places(first + np.arange(count)).astype(int)] += 1.5
    return said.astype(np.float32)


@settings(max_examples=25)
@given(st.floats(55, 190), st.floats(0, 15.99), st.integers(-250, 100_000))
def test_a_beat_is_heard_in_noise(bpm: float, start: float, first: int) -> None:
    clock = Clock(bpm, start, RATE_HZ)
    heard = hear_beat(evidence(clock, first, 250), first, RATE_HZ)
    assert heard is not None
    assert heard.bpm == pytest.approx(bpm, rel=0.02)
    there = np.array([first + 250])
    apart = (heard.places(there) - clock.places(there) + 8) % SIXTEENTHS - 8
    assert abs(apart[0]) < 1


def test_noise_tells_no_beat_and_no_key_and_neither_does_a_moment() -> None:
    noise = np.random.default_rng(0).standard_normal((250, SIXTEENTHS)).astype(np.float32)
    assert hear_beat(noise - 0.5, 0, RATE_HZ) is None  # as rare as they are likely, on the mean
    assert hear_beat(np.zeros((0, SIXTEENTHS), np.float32), 0, RATE_HZ) is None
    short = round(SHORTEST_S * RATE_HZ) - 1
    assert hear_beat(evidence(Clock(120, 0, RATE_HZ), 0, short, 0), 0, RATE_HZ) is None
    assert hear_key(np.zeros((250, KEYS), np.float32)) is None
    assert hear_key(np.zeros((0, KEYS), np.float32)) is None


def test_a_key_is_what_most_tokens_say() -> None:
    said = np.zeros((100, KEYS), np.float32)
    said[:, 4 * 9 + 1] = 0.3  # A minor
    said[:40, 4 * 0 + 0] = 0.5  # C major now and then
    assert hear_key(said) == (9, 1)


def test_a_change_of_tempo_does_not_jump() -> None:
    clock = Clock(120, 3.0, RATE_HZ)
    faster = clock.paced(150, 1000)
    edge = clock.start + 1000 * 120 / 60 * 4 / RATE_HZ
    assert faster.places(np.array([1000]))[0] == pytest.approx(
        (edge + 0.5 * 150 / 60 * 4 / RATE_HZ) % SIXTEENTHS
    )
    steps = np.diff(faster.places(np.arange(1000, 1003))) % SIXTEENTHS
    np.testing.assert_allclose(steps, 150 / 60 * 4 / RATE_HZ)


def test_a_bar_begins_where_it_is_shifted_to() -> None:
    clock = Clock(96, 0.0, RATE_HZ).shifted(77)
    half = 0.5 * 96 / 60 * 4 / RATE_HZ
    assert clock.places(np.array([77]))[0] == pytest.approx(half)


def test_rows_tell_every_place_and_come_round_with_the_bar() -> None:
    rows = clock_rows(np.linspace(0, 15.5, 32))
    assert rows.shape == (32, CLOCK_SIZE) and rows.dtype == np.float32
    assert np.unique(rows.round(3), axis=0).shape[0] == 32
    np.testing.assert_allclose(clock_rows(np.array([16.0])), clock_rows(np.array([0.0])), atol=1e-5)
