from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import Controls
from engine.ring import AudioRing
from engine.sinks.feed import BlockLog, Feed, Pacer
from engine.wire.packets import Codec, Flag, decode_packet

PACKET = 100


@dataclass(frozen=True)
class Note:
    position_samples: int
    index: int
    control_revision: int = 0
    cover: bool = False


def feed_of(ring: AudioRing, blocks: BlockLog | None = None) -> Feed:
    return Feed(ring, blocks or BlockLog(), sample_rate_hz=24000, packet_samples=PACKET, epoch=9)


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


def test_packets_are_the_ring_cut_into_pieces(controls: Controls) -> None:
    ring = AudioRing(1000, 1)
    ring.write(ramp(0, 450))
    feed = feed_of(ring)
    packets = [feed.pull(controls.snapshot()) for _ in range(4)]
    np.testing.assert_array_equal(np.concatenate([p.audio for p in packets]), ramp(0, 400))
    assert [p.header.sequence for p in packets] == [0, 1, 2, 3]
    assert [p.header.position for p in packets] == [0, 100, 200, 300]
    assert {p.header.epoch for p in packets} == {9}
    assert {p.header.flags for p in packets} == {Flag.NONE}


def test_filler_is_flagged_counted_and_keeps_the_position_going(controls: Controls) -> None:
    ring = AudioRing(1000, 1)
    feed = feed_of(ring)
    ring.write(ramp(0, 150))
    flags = [feed.pull(controls.snapshot()).header.flags for _ in range(3)]
    assert flags == [Flag.NONE, Flag.FILLER, Flag.FILLER]
    assert feed.filler_samples == 150
    ring.write(ramp(150, 100))
    header = feed.pull(controls.snapshot()).header
    assert (header.position, header.flags) == (300, Flag.NONE)
    assert feed.to_feed(150) == 300


def test_a_packet_names_the_ideas_that_sound_in_it_and_the_hands_put_to_it(
    controls: Controls,
) -> None:
    ring, blocks = AudioRing(1000, 1), BlockLog()
    feed = feed_of(ring, blocks)
    ring.write(np.ones((250, 1), np.float32))
    for note in (Note(0, 0, 3), Note(150, 1, 7), Note(220, -1, 8, cover=True)):
        blocks.note(note)
    controls.set("mute", 1)
    packets = [feed.pull(controls.snapshot()) for _ in range(2)]
    assert [p.header.idea_revision for p in packets] == [3, 7]
    assert [p.header.hand_revision for p in packets] == [1, 1]
    assert packets[0].audio[0, 0] > 0.9
    mark = feed.blocks.at(230)
    assert mark is not None
    assert (mark.index, mark.revision, mark.cover) == (1, 7, True)


def test_when_a_control_is_heard(controls: Controls) -> None:
    ring, blocks = AudioRing(2000, 1), BlockLog()
    feed = feed_of(ring, blocks)
    for index in range(3):
        ring.write(ramp(0, 200))
        blocks.note(Note(200 * index, index))
    feed.pull(controls.snapshot())
    assert feed.heard_at("hand", 2, 200) == 100
    assert feed.heard_at("hold", 2, 200) == 600
    assert feed.heard_at("idea", 2, 200) == 600  # idle: the next tick takes it
    assert feed.heard_at("idea", 3, 200) == 800  # chunk 3 is already in the window
    assert feed.heard_at("idea", 2, 200, taking=1) == 800  # a tick is making it
    assert feed.heard_at("idea", 5, 200, taking=4) == 1400  # four in flight
    assert feed.heard_at("idea", None, 200) == 600
    sounding = feed.sounding()
    assert sounding is not None
    assert (sounding.index, sounding.start) == (0, 0)


def test_a_packet_is_encoded_once_for_each_codec(controls: Controls) -> None:
    ring = AudioRing(1000, 1)
    ring.write(ramp(0, 100) / 100)
    packet = feed_of(ring).pull(controls.snapshot())
    assert packet.encoded(Codec.PCM_S16LE) is packet.encoded(Codec.PCM_S16LE)
    header, audio = decode_packet(packet.encoded(Codec.PCM_F32LE, Flag.REPLAY))
    assert (header.codec, header.flags) == (Codec.PCM_F32LE, Flag.REPLAY)
    np.testing.assert_array_equal(audio, packet.audio)


@given(delays=st.lists(st.floats(0.0, 0.9), max_size=60))
def test_lateness_does_not_add_up(delays: list[float]) -> None:
    pacer, now_s = Pacer(0.1), 50.0
    pacer.wait_s(now_s)
    for number, delay in enumerate(delays):
        now_s += pacer.wait_s(now_s)
        assert now_s >= 50.0 + 0.1 * number - 1e-9
        pacer.sent(now_s + delay)
    assert pacer.restarts == 0
    assert pacer.wait_s(now_s) <= 0.1 + 1e-9


def test_after_a_standstill_there_is_no_burst() -> None:
    pacer = Pacer(0.1)
    assert pacer.wait_s(10.0) == 0.0
    pacer.sent(10.0)
    pacer.sent(70.0)
    assert pacer.restarts == 1
    assert abs(pacer.wait_s(70.0) - 0.1) < 1e-9
