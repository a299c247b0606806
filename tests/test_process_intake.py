from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from engine.process.house import Area
from engine.process.intake import Intake
from engine.process.music import Format, Music

RATE_HZ = 8000
PACKET = 800


@dataclass
class Block:
    position_samples: int
    index: int
    control_revision: int = 0
    cover: bool = False


def music() -> Music:
    made = Music(Area.made(), Format(RATE_HZ, 1, 2 * RATE_HZ))
    made.begin()
    return made


def tone(start: int, count: int, hz: float = 200.0) -> np.ndarray:
    time_s = np.arange(start, start + count) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[:, None]


class Played:
    """Engines one after the other, and the intake that hears them."""

    def __init__(self) -> None:
        self.heard = music()
        self.made = 0
        self.intake = Intake(lambda: self.heard, RATE_HZ)
        self.audio: list[np.ndarray] = []

    def make(self, samples: int, hz: float = 200.0) -> None:
        self.heard.marks.note(Block(self.heard.ring.written_samples, self.made, self.made))
        assert self.heard.ring.write(tone(self.heard.ring.written_samples, samples, hz))
        self.made += 1

    def pull(self, packets: int = 1) -> list[int]:
        found = []
        for _ in range(packets):
            out = np.empty((PACKET, 1), np.float32)
            found.append(self.intake.read_into(out))
            self.audio.append(out)
        return found

    @property
    def steepest(self) -> float:
        return float(np.abs(np.diff(np.concatenate(self.audio)[:, 0])).max())


USUAL = 0.5 * 2 * np.pi * 200 / RATE_HZ
"""The steepest step of the tone itself."""


def test_music_goes_through_untouched() -> None:
    played = Played()
    played.make(4 * PACKET)
    assert played.pull(4) == [PACKET] * 4
    np.testing.assert_array_equal(np.concatenate(played.audio), tone(0, 4 * PACKET))
    assert played.intake.read_samples == 4 * PACKET and not played.intake.shortfalls


def test_before_the_first_music_there_is_silence_and_nothing_is_missed() -> None:
    played = Played()
    assert played.pull(3) == [0, 0, 0]
    assert not np.concatenate(played.audio).any()
    assert not played.intake.shortfalls and not played.intake.dry
    played.make(4 * PACKET)
    assert played.pull() == [PACKET]


def test_where_the_ring_runs_dry_the_music_is_kept_going_and_joined_again() -> None:
    played = Played()
    played.make(8000)
    found = played.pull(15)
    assert found == [PACKET] * 10 + [0] * 5 and played.intake.dry
    assert (played.intake.shortfalls, played.intake.shortfall_samples) == (1, 5 * PACKET)
    assert min(np.abs(audio).max() for audio in played.audio) > 0.4
    played.make(8000)
    assert played.pull(8) == [PACKET] * 8 and not played.intake.dry
    assert played.steepest < 3 * USUAL
    assert played.intake.read_samples == 8000 + 8 * PACKET


def test_a_little_is_not_taken_up_while_more_comes() -> None:
    played = Played()
    played.make(8000)
    played.pull(11)
    played.make(PACKET)
    assert played.pull() == [0]  # perhaps more comes
    played.make(2 * PACKET)
    assert played.pull() == [PACKET]  # a quarter of a second is there


def test_a_little_is_taken_up_where_no_more_comes() -> None:
    played = Played()
    played.make(8000)
    played.pull(11)
    played.make(PACKET)
    assert played.pull(2) == [0, PACKET]


def test_another_engine_takes_over_in_a_crossfade() -> None:
    played = Played()
    played.make(8000)
    played.pull(4)
    played.heard = music()
    assert played.pull() == [PACKET]  # it has made nothing yet: the old one goes on
    played.make(12000, hz=300.0)
    found = played.pull(10)
    assert found == [PACKET] * 10
    whole = np.concatenate(played.audio)[:, 0]
    crossed = slice(5 * PACKET, 5 * PACKET + RATE_HZ // 2)
    assert np.abs(whole[crossed].reshape(-1, 400)).max(axis=1).min() > 0.2
    np.testing.assert_array_equal(whole[crossed.stop : 15 * PACKET], tone(
        RATE_HZ // 2, 10 * PACKET - RATE_HZ // 2, 300.0)[:, 0])  # fmt: skip
    assert played.steepest < 3 * 1.5 * USUAL


def test_an_engine_follows_on_one_that_died() -> None:
    played = Played()
    played.make(8000)
    played.pull(12)
    played.heard = music()
    assert played.pull(2) == [0, 0]
    played.make(8000)
    assert played.pull(5) == [PACKET] * 5
    assert min(np.abs(audio).max() for audio in played.audio) > 0.05
    assert played.steepest < 3 * USUAL


def test_samples_and_marks_count_on_over_all_engines() -> None:
    played = Played()
    played.make(1600)
    played.make(1600)
    played.pull(4)
    assert played.intake.at(1700) is not None and played.intake.at(1700).index == 1
    played.heard = music()
    played.make(4000)
    before = played.intake.read_samples
    played.pull()
    mark = played.intake.at(played.intake.read_samples - 1)
    assert mark is not None and (mark.index, mark.start) == (2, before)
    assert played.intake.last == mark
    assert played.intake.written_samples == before + 4000


@given(st.lists(st.one_of(st.integers(1, 5000), st.none()), max_size=30))
@example([262, 1, 1, 1, 4499, None, None, None, None, None])
def test_every_packet_is_full_and_finite_whatever_comes(events: list[int | None]) -> None:
    played = Played()
    for event in events:
        if event is None:
            played.heard = music()
        elif played.heard.ring.fill_samples + event <= 2 * RATE_HZ:
            played.make(event)
        (found,) = played.pull()
        assert 0 <= found <= PACKET
    if events:
        whole = np.concatenate(played.audio)
        assert np.isfinite(whole).all() and np.abs(whole).max() <= 1.0
