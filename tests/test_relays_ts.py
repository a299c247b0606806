"""The transport stream: its packets are those of the standard, and its clock runs ahead."""

from __future__ import annotations

from engine.relays.ts import AUDIO_PID, FRAMES_EACH, TS_BYTES, TransportStream, crc


def packets(segment: bytes) -> list[bytes]:
    assert len(segment) % TS_BYTES == 0
    return [segment[at : at + TS_BYTES] for at in range(0, len(segment), TS_BYTES)]


def pid(packet: bytes) -> int:
    return int.from_bytes(packet[1:3]) & 0x1FFF


def payload(packet: bytes) -> bytes:
    return packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :]


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc(b"123456789") == 0x0376E6E7


def test_every_size_of_frame_comes_back_whole() -> None:
    stream = TransportStream(48000, 1024)
    for size in range(1, 500):
        frame = bytes(size)
        made = packets(stream.segment([frame]))
        assert {packet[0] for packet in made} == {0x47}
        audio = b"".join(payload(packet) for packet in made if pid(packet) == AUDIO_PID)
        assert audio[14:] == frame
        assert int.from_bytes(audio[4:6]) == len(audio) - 6


def test_tables_begin_each_segment_and_counters_go_on() -> None:
    stream = TransportStream(48000, 1024)
    made = [packets(stream.segment([bytes(300)] * 10)) for _ in range(3)]
    assert [[pid(packet) for packet in segment[:2]] for segment in made] == [[0, 0x1000]] * 3
    for wanted in (0, 0x1000, AUDIO_PID):
        counters = [
            packet[3] & 15 for segment in made for packet in segment if pid(packet) == wanted
        ]
        assert counters == [count % 16 for count in range(len(counters))]


def test_times_follow_the_samples() -> None:
    made = packets(TransportStream(48000, 1024).segment([bytes(100)] * 3 * FRAMES_EACH))
    starts = [payload(one) for one in made if one[1] & 0x40 and pid(one) == AUDIO_PID]
    times = [
        (start[9] >> 1 & 7) << 30
        | (int.from_bytes(start[10:12]) >> 1) << 15
        | int.from_bytes(start[12:14]) >> 1
        for start in starts
    ]
    assert times == [90000 + 7680 * at for at in range(3)]
