"""What Lyria's clients hear: resampled without a seam, written once."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import soxr

from engine.session import Floats
from engine.sinks.feed import Packet
from engine.sinks.lyria_audio import Reel, Studio
from engine.spec import AudioSpec
from engine.wire.lyria_messages import Sources
from engine.wire.packets import Codec, PacketHeader


def tone(rate_hz: int, channels: int, seconds: float = 2.0) -> Floats:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tones = [0.5 * np.sin(2 * np.pi * 220 * (k + 1) * time_s) for k in range(channels)]
    return np.stack(tones, axis=1).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_packets_come_out_as_the_whole_would(rate_hz: int, channels: int) -> None:
    audio = tone(rate_hz, channels)
    studio = Studio(AudioSpec(rate_hz, channels))
    size = rate_hz // 10
    packets = [audio[start : start + size] for start in range(0, audio.shape[0], size)]
    made = np.concatenate([studio.convert(packet) for packet in packets])
    whole = soxr.resample(audio, rate_hz, 48000)[:, [0, min(1, channels - 1)]]
    assert 0 <= whole.shape[0] - made.shape[0] < 0.05 * 48000  # what is still under way
    np.testing.assert_allclose(made, whole[: made.shape[0]], atol=1e-5)


def packet(sequence: int, revision: int = 0) -> Packet:
    header = PacketHeader(
        Codec.PCM_F32LE, 1, sequence, 2400, 2400 * sequence, revision, 0, 24000, 1
    )
    return Packet(header, np.full((2400, 1), 0.25, np.float32))


def reel(packets: int = 3) -> tuple[Reel, Sources]:
    sources = Sources()
    return Reel(AudioSpec(24000, 1), sources, packets), sources


def test_nothing_is_written_that_nobody_wants() -> None:
    made, _ = reel()
    assert made.add(packet(0), wanted=False) is None
    assert made.add(packet(1), wanted=True) is not None


def test_who_begins_gets_the_packets_just_played() -> None:
    made, _ = reel()
    for sequence in range(5):
        made.add(packet(sequence), wanted=False)
    assert [number for number, _ in made.since(-1)] == [2, 3, 4]
    made.add(packet(5), wanted=True)
    assert [number for number, _ in made.since(3)] == [4, 5]
    assert made.since(5) == []


def test_a_message_names_what_its_packet_was_made_from() -> None:
    made, sources = reel()
    sources.note(1, (), {"bpm": 90.0})
    sources.note(2, (), {"bpm": 120.0})
    texts = [made.add(packet(k, revision), wanted=True) for k, revision in enumerate((1, 2))]
    chunks = [json.loads(text or "")["serverContent"]["audioChunks"][0] for text in texts]
    found = [chunk["sourceMetadata"]["musicGenerationConfig"]["bpm"] for chunk in chunks]
    assert found == [90, 120]
    assert len(base64.b64decode(chunks[1]["data"])) % 4 == 0


def test_packets_too_short_for_the_resampler_make_longer_messages() -> None:
    made, _ = reel()
    short = [Packet(packet(k).header, packet(k).audio[:240]) for k in range(40)]
    texts = [made.add(one, wanted=True) for one in short]
    sizes = [
        len(json.loads(text)["serverContent"]["audioChunks"][0]["data"]) for text in texts if text
    ]
    assert None in texts
    assert all(sizes)
