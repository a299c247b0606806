"""A feed in a file: it keeps the feed's time, whatever was missed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from broadcasting import PACKET, RATE_HZ, Station, tone

from engine.errors import UsageError
from engine.opus import OpusEncoder
from engine.relays.ogg import PRE_SKIP
from engine.relays.tape import Tape
from engine.wire.client import Client, Heard
from engine.wire.packets import HEADER_BYTES, Codec


def heard(station: Station, count: int, client: Client) -> list[Heard]:
    events = [client.receive(station.packet()) for _ in range(count)]
    return [event for event in events if isinstance(event, Heard)]


def test_a_gap_is_silence_of_its_length(tmp_path: Path) -> None:
    station, client, tape = (
        Station(Codec.PCM_S16LE),
        Client(Codec.PCM_S16LE),
        Tape(tmp_path / "a.wav"),
    )
    for packet in heard(station, 2, client):
        tape.write(packet)
    station.sent += 3
    for packet in heard(station, 1, client):
        tape.write(packet)
    tape.close()
    audio, rate_hz = soundfile.read(tape.path, always_2d=True, dtype="float32")
    truth = tone(0, 6 * PACKET)
    truth[2 * PACKET : 5 * PACKET] = 0.0
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(audio, truth, atol=1e-4)
    assert (tape.gaps, round(tape.seconds, 6)) == (1, 0.6)


def test_opus_packets_are_kept_as_they_are(tmp_path: Path) -> None:
    station, client, tape = Station(Codec.OPUS, 2), Client(Codec.OPUS), Tape(tmp_path / "a.opus")
    for packet in heard(station, 10, client):
        tape.write(packet)
    station.sent += 5
    for packet in heard(station, 1, client):
        tape.write(packet)
    tape.close()
    audio, rate_hz = soundfile.read(tape.path)
    assert (audio.shape, rate_hz) == ((16 * 4800 - PRE_SKIP, 2), 48000)


def test_opus_is_decoded_for_a_wav(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs: pip install 'perpetuo[opus]'")
    station, client, tape = Station(Codec.OPUS), Client(Codec.OPUS), Tape(tmp_path / "a.wav")
    encoder = OpusEncoder(RATE_HZ, 1, PACKET)
    for at in range(10):
        made = encoder.encode(tone(at * PACKET, PACKET))
        event = client.receive(station.packet()[:HEADER_BYTES] + made)
        assert isinstance(event, Heard)
        tape.write(event)
    tape.close()
    audio, rate_hz = soundfile.read(tape.path, always_2d=True)
    assert (audio.shape, rate_hz) == ((48000, 1), 48000)
    assert abs(np.sqrt((audio[9600:] ** 2).mean()) - 0.3 / np.sqrt(2)) < 0.01


def test_another_format_ends_the_file(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "a.wav")
    mono, stereo = Station(Codec.PCM_S16LE), Station(Codec.PCM_S16LE, 2)
    stereo.epoch = 2
    client = Client(Codec.PCM_S16LE)
    tape.write(heard(mono, 1, client)[0])
    with pytest.raises(UsageError, match="another format"):
        tape.write(heard(stereo, 1, client)[0])
    tape.close()
    assert soundfile.info(tape.path).frames == PACKET


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for name in ("a.opus", "a.wav"):
        station, client = (
            Station(Codec.OPUS if name == "a.opus" else Codec.PCM_S16LE),
            Client(Codec.OPUS),
        )
        with pytest.raises(UsageError, match="cannot be written"):
            Tape(tmp_path / "none" / name).write(heard(station, 1, client)[0])
    Tape(tmp_path / "b.wav").close()
    assert not (tmp_path / "b.wav").exists()
