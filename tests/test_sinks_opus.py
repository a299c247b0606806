"""The feed in Opus: encoded once, in step with the feed's positions, from any packet on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from engine.controls import Controls
from engine.opus import RATE_HZ, OpusDecoder
from engine.ring import AudioRing
from engine.session import Floats
from engine.sinks.feed import BlockLog, Feed, Packet
from engine.sinks.opus import OpusTrack, opus_track
from engine.wire.packets import HEADER_BYTES, Codec, Flag, PacketHeader

PACKET = 2400


@pytest.fixture
def _av() -> None:
    pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")


def music() -> Floats:
    time_s = np.arange(20 * PACKET) / 24000
    return (0.3 * np.sin(2 * np.pi * (300 + 200 * time_s) * time_s)).astype(np.float32)[:, None]


@pytest.fixture
def played(controls: Controls) -> list[Packet]:
    ring = AudioRing(20 * PACKET, 1)
    ring.write(music())
    feed = Feed(ring, BlockLog(), sample_rate_hz=24000, packet_samples=PACKET, epoch=7)
    return [feed.pull(controls.snapshot()) for _ in range(20)]


def split(message: bytes | None) -> tuple[PacketHeader, bytes]:
    assert message is not None
    return PacketHeader.unpack(message), message[HEADER_BYTES:]


@pytest.mark.usefixtures("_av")
@pytest.mark.parametrize("joined", [0, 8])
def test_what_a_listener_decodes_lies_at_the_positions_of_the_headers(
    played: list[Packet], joined: int
) -> None:
    track, decoder = OpusTrack(24000, 1, PACKET, 10), OpusDecoder(1)
    heard = np.zeros((0, 1), np.float32)
    for packet in played[joined:]:
        message = track.message(packet)
        if packet.header.position < track.delay_samples:
            assert message is None
            continue
        header, payload = split(message)
        assert (header.codec, header.epoch, header.samples) == (Codec.OPUS, 7, PACKET)
        assert header.sequence == packet.header.sequence
        assert header.position == packet.header.position - track.delay_samples
        heard = np.concatenate([heard, decoder.decode(payload)[:: RATE_HZ // 24000]])
    first = max(1, joined) * PACKET - track.delay_samples
    truth = music()[first : first + heard.shape[0]]
    rest = (heard - truth)[PACKET:]  # a decoder needs 80 ms to settle
    assert np.sqrt((rest**2).mean()) < 0.05 * np.sqrt((truth**2).mean())


@pytest.mark.usefixtures("_av")
def test_a_packet_is_encoded_once_also_for_late_joiners(played: list[Packet]) -> None:
    track = OpusTrack(24000, 1, PACKET, 4)
    live = [track.message(packet) for packet in played[:8]]
    again = [track.message(packet, Flag.REPLAY) for packet in played[4:8]]
    for one, two in zip(live[4:], again, strict=True):
        (first, payload), (second, repeated) = split(one), split(two)
        assert payload == repeated
        assert second.flags == first.flags | Flag.REPLAY
    assert split(track.message(played[8]))[0].sequence == 8


@pytest.mark.usefixtures("_av")
def test_after_a_gap_the_encoder_begins_anew(played: list[Packet]) -> None:
    track, fresh = OpusTrack(24000, 1, PACKET, 4), OpusTrack(24000, 1, PACKET, 4)
    for packet in played[:3]:
        track.message(packet)
    assert track.message(played[9]) == fresh.message(played[9])


@pytest.mark.usefixtures("_av")
def test_the_hello_says_how_it_is_made() -> None:
    track = OpusTrack(24000, 1, PACKET, 4)
    assert track.fields() == {"kbps": 64, "channels": 1, "pre_skip": 312, "delay_samples": 156}
    assert track.bytes_hz == 8000


@pytest.mark.usefixtures("_av")
def test_a_feed_whose_packets_opus_does_not_have_offers_none() -> None:
    assert opus_track(24000, 1, 1000, 10) is None
    assert opus_track(24000, 1, PACKET, 10) is not None


def test_without_the_library_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert opus_track(24000, 1, PACKET, 10) is None
