"""The accelerated day: what goes in comes out, and a loss is found."""

from __future__ import annotations

import numpy as np
import pytest

from bench.day import Listener, Way, play, report
from engine.backends.standin import bundle
from engine.wire.packets import Codec, Flag, PacketHeader, encode_packet


@pytest.mark.parametrize(("rate_hz", "channels"), [(24000, 1), (48000, 2)])
def test_some_seconds_arrive_bit_by_bit(rate_hz: int, channels: int) -> None:
    day = play(0.002, rate_hz, channels)
    assert day.passed and day.lost_samples == 0
    assert day.made_samples >= 7.2 * rate_hz
    assert day.chunks == -(-7.2 // 0.32)
    assert report(day)[-1] == "passed"


def header(sequence: int, flags: Flag = Flag.NONE) -> PacketHeader:
    return PacketHeader(
        codec=Codec.PCM_F32LE, epoch=1, sequence=sequence, samples=10, position=10 * sequence,
        idea_revision=0, hand_revision=0, sample_rate_hz=24000, channels=1, flags=flags,
    )  # fmt: skip


def test_a_packet_that_is_missing_is_a_gap() -> None:
    listener = Listener(10)
    for number in (0, 1, 3, 4):
        listener.hear(encode_packet(header(number), np.zeros((10, 1), np.float32)))
    assert (listener.gaps, listener.samples, listener.filler) == (1, 40, 0)


def test_filler_is_counted() -> None:
    listener = Listener(10)
    listener.hear(encode_packet(header(0, Flag.FILLER), np.zeros((10, 1), np.float32)))
    assert listener.filler == 1


def test_another_sample_is_found() -> None:
    way = Way(bundle())
    hear = way.listener.hear

    def spoil(message: bytes) -> PacketHeader:
        return hear(message[:-4] + bytes(4))

    way.listener.hear = spoil  # type: ignore[method-assign]
    way.pass_on()
    way.listener.digest.update(way.flush().tobytes())
    assert way.listener.digest.digest() != way.digest.digest()
