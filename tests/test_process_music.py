from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from engine.playout import Playout
from engine.process.house import Area
from engine.process.memory import Memory
from engine.process.music import Format, Music

FORM = Format(sample_rate_hz=1000, channels=2, capacity_samples=700)


@dataclass
class Block:
    position_samples: int
    index: int
    control_revision: int = 0
    cover: bool = False


def both() -> tuple[Music, Music]:
    """The engine's sight of an area, and the feed's."""
    area = Area.made()
    engine = Music(area, FORM)
    engine.begin()
    return engine, Music(Area(Memory(area.memory.fd)), FORM)


def ramp(start: int, count: int) -> np.ndarray:
    mono = np.arange(start, start + count, dtype=np.float32)[:, None]
    return np.ascontiguousarray(np.repeat(mono, 2, axis=1))


def test_what_one_writes_the_other_reads() -> None:
    engine, feed = both()
    out = np.zeros((150, 2), np.float32)
    for start in range(0, 3000, 300):
        assert engine.ring.write(ramp(start, 300))
        for part in range(2):
            assert feed.ring.read_into(out) == 150
            np.testing.assert_array_equal(out, ramp(start + 150 * part, 150))
    assert (engine.ring.read_samples, feed.ring.written_samples) == (3000, 3000)


def test_a_full_ring_refuses_and_a_reader_that_follows_goes_on() -> None:
    engine, feed = both()
    assert engine.ring.write(ramp(0, 400)) and not engine.ring.write(ramp(400, 400))
    out = np.zeros((100, 2), np.float32)
    feed.ring.read_into(out)
    again = Music(Area(Memory(engine_area(feed))), FORM)
    again.ring.read_into(out)
    np.testing.assert_array_equal(out, ramp(100, 100))
    assert engine.ring.fill_samples == 200


def engine_area(music: Music) -> int:
    return music.area.memory.fd


def test_the_engine_knows_when_the_feed_will_come_short() -> None:
    engine, feed = both()
    plain = Playout(FORM.sample_rate_hz)
    engine.ring.write(ramp(0, 600))
    assert not engine.ring.playout.started
    for k in range(4):
        for playout in (plain, feed.ring.playout):
            playout.note(5.0 + 0.1 * k, 100 * (k + 1), 100, 100)
    assert engine.ring.playout.started
    for now_s in (5.35, 5.5, 9.0):
        assert engine.ring.playout.left_s(now_s, 600) == plain.left_s(now_s, 600)


def test_what_the_feed_did_not_find_puts_off_what_follows() -> None:
    engine, feed = both()
    engine.ring.write(ramp(0, 300))
    out = np.zeros((100, 2), np.float32)
    feed.ring.take(out, 100)
    before = engine.ring.playout._taken
    feed.ring.take(out[:0], 100)
    after = engine.ring.playout._taken
    assert before is not None and after is not None
    assert after.samples == before.samples and after.phase_s > before.phase_s - 0.01


def test_marks_are_those_of_a_block_log() -> None:
    engine, feed = both()
    assert feed.marks.at(0) is None and feed.marks.last is None
    engine.marks.note(Block(0, 4, 2))
    engine.marks.note(Block(100, -1, 9, cover=True))
    engine.marks.note(Block(200, 5, 3))
    found = [feed.marks.at(sample) for sample in (99, 150, 1000)]
    assert [(m.index, m.revision, m.cover) for m in found if m] == [
        (4, 2, False), (4, 2, True), (5, 3, False),
    ]  # fmt: skip
    assert feed.marks.last == found[2]


def test_old_marks_are_forgotten() -> None:
    engine, feed = both()
    for k in range(600):
        engine.marks.note(Block(10 * k, k))
    assert feed.marks.at(5994) is not None and feed.marks.at(0) is None


@pytest.mark.parametrize("pieces", [(700,), (5000, 8000), (300, 12000, 50)])
def test_the_tail_is_the_end_of_what_was_made(pieces: tuple[int, ...]) -> None:
    engine, feed = both()
    start = 0
    for count in pieces:
        engine.tail.add(ramp(start, count))
        start += count
    expected = ramp(0, start)[-FORM.tail_samples :]
    np.testing.assert_array_equal(feed.tail.read(), expected)


def test_an_engine_begins_with_nothing() -> None:
    engine, feed = both()
    engine.ring.write(ramp(0, 300))
    engine.marks.note(Block(0, 1))
    engine.tail.add(ramp(0, 300))
    engine.begin()
    assert feed.ring.fill_samples == 0 and feed.marks.last is None and not feed.tail.read().size
    assert not feed.ring.playout.started
