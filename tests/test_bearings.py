from dataclasses import replace

import numpy as np

from engine.bearings import LISTEN_TOKENS, Bearings
from engine.brief import Wishes
from engine.clock import EVIDENCE_SIZE, SIXTEENTHS, Clock

RATE_HZ = 25.0


def evidence(clock: Clock, first: int, count: int) -> np.ndarray:
    said = np.zeros((count, EVIDENCE_SIZE), np.float32)
    places = clock.places(first + np.arange(count)).astype(int)
    said[np.arange(count), places] = 1.0
    said[:, SIXTEENTHS + 4 * 2 + 1] = 0.4  # D minor
    return said


def test_what_is_heard_fills_what_is_left_free() -> None:
    said = evidence(Clock(100, 5.0, RATE_HZ), -200, 200)
    held = Bearings(0).taken(said, 0, RATE_HZ)
    assert held.clock is not None and held.key == (2, 1)
    filled = held.filled(Wishes(density=0.5))
    assert abs(filled.bpm - 100) < 1 and (filled.tonic, filled.scale) == (2, 1)
    assert filled.density == 0.5


def test_what_is_asked_goes_before_what_is_heard() -> None:
    held = replace(Bearings(0), key=(2, 1)).paced(100, 0, RATE_HZ)
    asked = held.filled(Wishes(bpm=120, tonic=5))
    assert (asked.bpm, asked.tonic, asked.scale) == (120, 5, None)


def test_a_tempo_that_is_asked_begins_a_bar_or_goes_on_in_it() -> None:
    begun = Bearings(0).paced(90, 40, RATE_HZ)
    assert begun.clock is not None and begun.clock.places(np.array([40]))[0] < 1
    assert begun.paced(90, 60, RATE_HZ) is begun
    faster = begun.paced(180, 60, RATE_HZ)
    assert faster.clock is not None and faster.clock.bpm == 180
    apart = faster.clock.places(np.array([60])) - begun.clock.places(np.array([60]))
    assert abs(apart[0]) < 1


def test_music_of_its_own_is_listened_to_now_and_then_until_it_has_a_beat() -> None:
    free = Bearings(10)
    due = [n for n in range(10, 10 + 3 * LISTEN_TOKENS) if free.silent_at(n)]
    assert due == [10 + LISTEN_TOKENS, 10 + 2 * LISTEN_TOKENS]
    assert not free.paced(100, 10, RATE_HZ).silent_at(10 + LISTEN_TOKENS)


def test_music_of_its_own_has_no_key_to_hold_on_to() -> None:
    said = evidence(Clock(100, 5.0, RATE_HZ), 0, 200)
    own = Bearings(0).heard(said, 200, RATE_HZ)
    assert own.clock is not None and own.key is None
    assert replace(own, key=(4, 0)).heard(said, 200, RATE_HZ).key == (4, 0)


def test_half_a_key_is_none() -> None:
    held = replace(Bearings(0), key=(2, 1))
    assert held.keyed(5, None) is held.keyed(None, 1) is held.keyed(2.0, 1.0) is held
    assert held.keyed(5.0, 3.0).key == (5, 3)
