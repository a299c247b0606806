import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.cover import Cover, best_lag

RATE = 8000


def tone(samples: int, hz: float = 333.0, start: int = 0, level: float = 0.5) -> np.ndarray:
    time = (start + np.arange(samples)) / RATE
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)[:, None]


def largest_step(audio: np.ndarray) -> float:
    return float(np.abs(np.diff(audio[:, 0])).max())


@given(st.integers(1, 8), st.integers(RATE, RATE * 2), st.integers(RATE // 5, RATE))
def test_the_lag_of_a_period_is_found_to_the_sample(coarse: int, period: int, more: int) -> None:
    """Also where the search goes over means of samples first: music is mostly low."""
    rng = np.random.default_rng(0)
    bar = np.convolve(rng.standard_normal(period), np.hanning(40), "same").astype(np.float32)
    music = np.concatenate([bar, bar])[: period + more]
    assert best_lag(music, RATE // 5, RATE, coarse) == period


def test_silence_is_like_silence() -> None:
    assert RATE <= best_lag(np.zeros(RATE * 3, np.float32), RATE // 5, RATE, 4) <= RATE * 3


@given(st.integers(2500, 60000), st.integers(1, 9000), st.floats(80.0, 900.0))
@example(9600, 1, 80.5)
def test_a_held_tone_goes_on_without_a_click(known: int, held: int, hz: float) -> None:
    cover = Cover(RATE, 1)
    played = tone(known, hz)
    cover.remember(played)
    audio = np.concatenate([played, cover.next(held), cover.next(held)])
    assert largest_step(audio) < 1.6 * largest_step(played)


def test_what_is_prepared_is_what_would_be_played_and_void_once_more_was() -> None:
    asked, ready = Cover(RATE, 1), Cover(RATE, 1)
    for cover in (asked, ready):
        cover.remember(tone(30000, 210.0))
    ready.prepare()
    np.testing.assert_array_equal(ready.next(4000), asked.next(4000))
    ready.prepare()  # while it is played already
    np.testing.assert_array_equal(ready.next(4000), asked.next(4000))
    for cover in (asked, ready):
        cover.rejoin(tone(100, 210.0))
        ready.prepare()
        cover.remember(tone(9000, 530.0))
    np.testing.assert_array_equal(ready.next(4000), asked.next(4000))


def test_music_of_another_kind_is_joined_without_a_click() -> None:
    cover = Cover(RATE, 1)
    before = tone(30000, 210.0)
    cover.remember(before)
    held = cover.next(4000)
    after = cover.rejoin(tone(4000, 530.0, start=77))
    audio = np.concatenate([before, held, after])
    assert largest_step(audio) < 1.1 * largest_step(tone(4000, 530.0))
    np.testing.assert_array_equal(after[1000:], tone(4000, 530.0, start=77)[1000:])


def test_cover_is_music_never_silence() -> None:
    cover = Cover(RATE, 1)
    cover.remember(tone(3000))
    for _ in range(40):
        held = cover.next(2560)
        for part in np.array_split(held, 8):
            assert np.sqrt((part**2).mean()) > 0.2


def test_the_loop_has_no_seam() -> None:
    rng = np.random.default_rng(1)
    music = np.cumsum(rng.standard_normal(RATE * 6)).astype(np.float32)[:, None]
    music = (music - music.mean()) / np.abs(music).max()
    cover = Cover(RATE, 1)
    cover.remember(music)
    assert largest_step(cover.next(RATE * 20)) < 1.5 * largest_step(music)


def test_without_cover_newly_made_audio_is_left_alone() -> None:
    cover = Cover(RATE, 1)
    audio = tone(1000)
    assert cover.rejoin(audio) is audio


def test_nothing_played_is_nothing_to_hold() -> None:
    cover = Cover(RATE, 2)
    assert cover.empty
    assert (cover.next(100) == 0).all()
    cover = Cover(RATE, 2)
    cover.remember(np.zeros((10, 2), np.float32))
    assert not cover.empty


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_are_kept(channels: int) -> None:
    cover = Cover(RATE, channels)
    gains = np.array([1.0, 0.25], np.float32)[:channels]
    cover.remember(tone(20000) * gains)
    held = cover.next(5000)
    assert held.shape == (5000, channels)
    assert held.dtype == np.float32
    np.testing.assert_allclose(held, held[:, :1] * gains, atol=1e-6)
