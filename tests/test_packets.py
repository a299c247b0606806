"""Audio packets: the layout is fixed, and what goes in comes out."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.wire.packets import (
    HEADER_BYTES,
    Codec,
    Flag,
    PacketHeader,
    decode_packet,
    encode_packet,
)

UINT32 = st.integers(0, 2**32 - 1)


def header(codec: Codec = Codec.PCM_F32LE, **fields: int) -> PacketHeader:
    values = {"epoch": 1, "sequence": 2, "samples": 0, "position": 3, "idea_revision": 4}
    values |= {"hand_revision": 5, "sample_rate_hz": 24000, "channels": 1}
    return PacketHeader(codec=codec, **(values | fields))


def noise(samples: int, channels: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (samples, channels)).astype(np.float32)


def test_the_layout_is_the_documented_one() -> None:
    data = encode_packet(header(Codec.PCM_S16LE), np.full((1, 2), 1.0, np.float32))
    assert data[:4] == b"PP\x01\x01"
    assert struct.unpack_from("<IIIQIIIHH", data, 4) == (1, 2, 1, 3, 4, 5, 24000, 2, 0)
    assert data[HEADER_BYTES:] == struct.pack("<hh", 32767, 32767)


@settings(max_examples=30)
@given(epoch=UINT32, sequence=UINT32, position=st.integers(0, 2**64 - 1), flags=st.integers(0, 3))
def test_a_header_survives_the_wire(epoch: int, sequence: int, position: int, flags: int) -> None:
    sent = header(epoch=epoch, sequence=sequence, position=position, flags=Flag(flags))
    assert PacketHeader.unpack(sent.pack()) == sent


@settings(max_examples=20)
@given(samples=st.integers(0, 50), channels=st.integers(1, 6))
def test_float_audio_is_exact(samples: int, channels: int) -> None:
    audio = noise(samples, channels)
    got, decoded = decode_packet(encode_packet(header(), audio))
    assert (got.samples, got.channels) == (samples, channels)
    np.testing.assert_array_equal(decoded, audio)


def test_s16_is_within_half_a_step_and_clips() -> None:
    audio = noise(1000, 2)
    _, decoded = decode_packet(encode_packet(header(Codec.PCM_S16LE), audio))
    assert np.abs(decoded - audio).max() <= 0.5001 / 32767
    loud = np.array([[3.0], [-3.0]], np.float32)
    _, decoded = decode_packet(encode_packet(header(Codec.PCM_S16LE), loud))
    np.testing.assert_array_equal(decoded, [[1.0], [-1.0]])


@pytest.mark.parametrize(
    "data", [b"", b"PP", b"XX" + bytes(38), b"PP\x02\x01" + bytes(36), b"PP\x01\x09" + bytes(36)]
)
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        PacketHeader.unpack(data)


def test_opus_has_a_header_like_the_others_and_takes_a_decoder() -> None:
    data = header(Codec.OPUS, samples=2400).pack() + b"\xfc\xff\xfe"
    assert data[3] == 3
    assert PacketHeader.unpack(data).codec is Codec.OPUS
    with pytest.raises(ValueError, match="Opus"):
        decode_packet(data)


def test_a_short_payload_is_refused() -> None:
    data = encode_packet(header(), noise(10, 1))
    with pytest.raises(ValueError, match="promises 40 bytes, 36 follow"):
        decode_packet(data[:-4])
