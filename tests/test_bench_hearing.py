"""bench.hearing: gaps, lateness and controls from packets made up for it."""

from __future__ import annotations

import pytest

from bench.hearing import Hearing
from engine.wire.packets import Codec, Flag, PacketHeader


def packet(
    sequence: int, revision: int = 0, flags: Flag = Flag.NONE, hand: int = 0
) -> PacketHeader:
    return PacketHeader(
        Codec.PCM_S16LE, 1, sequence, 2400, 2400 * sequence, revision, hand, 24_000, 1, flags
    )


def test_gaps_and_lateness_count_from_the_schedule() -> None:
    heard = Hearing()
    for sequence, now_s in enumerate((10.0, 10.1, 10.35, 10.36, 10.4)):
        heard.packet(packet(sequence), now_s)
    assert heard.gaps_ms().max == pytest.approx(250.0)
    assert heard.lateness_ms().max == pytest.approx(150.0)
    assert heard.lateness_ms().p50 == pytest.approx(0.0, abs=1e-6)
    assert heard.skipped == 0


def test_a_hole_in_the_sequence_is_skipped_audio() -> None:
    heard = Hearing()
    for sequence in (4, 5, 8):
        heard.packet(packet(sequence), sequence / 10)
    assert heard.skipped == 2


def test_a_control_is_heard_in_the_packet_that_carries_its_revision() -> None:
    heard = Hearing()
    heard.packet(packet(0, revision=3), 0.0)
    heard.ask(0.05)
    heard.packet(packet(1, revision=3), 0.1)
    heard.acknowledge(4)
    heard.packet(packet(2, revision=3), 0.2)
    assert heard.waiting
    heard.packet(packet(3, revision=4), 0.3)
    assert heard.control_to_sound_s == [pytest.approx(0.25)]
    assert not heard.waiting


def test_replayed_and_filler_packets_are_not_taken_for_live_music() -> None:
    heard = Hearing()
    heard.packet(packet(0, flags=Flag.FILLER), 1.0)
    assert heard.first_music_s is None
    heard.packet(packet(1, flags=Flag.REPLAY), 1.1)
    assert heard.first_music_s == 1.1
    assert (heard.packets, heard.filler_packets) == (1, 1)


@pytest.mark.parametrize(
    ("promised", "late"), [(7200, 0), (9599, 0), (9600, -1), (7199, 1), (4800, 2400)]
)
def test_a_promise_is_kept_in_the_packet_that_holds_its_sample(promised: int, late: int) -> None:
    heard = Hearing()
    heard.ask(0.0)
    heard.acknowledge(5, promised)
    heard.packet(packet(3, revision=5), 0.3)
    assert heard.late_samples == [late]


def test_a_hand_is_heard_by_its_own_revision() -> None:
    heard = Hearing()
    heard.ask(0.0, "hand")
    heard.acknowledge(4)
    heard.packet(packet(0, revision=9, hand=3), 0.1)
    assert heard.waiting
    heard.packet(packet(1, hand=4), 0.2)
    assert heard.control_to_sound_s == [pytest.approx(0.2)]
    assert heard.late_samples == []
