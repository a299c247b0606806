"""Binary audio packets of `perpetuo.v1`: a fixed header, then PCM or one Opus packet.

The header is 40 bytes, little endian, so that a float32 payload stays aligned:

    offset  type  field
         0  2s    magic "PP"
         2  u8    protocol version, 1
         3  u8    codec: 1 = pcm_s16le, 2 = pcm_f32le, 3 = opus
         4  u32   epoch: drawn anew at every start of the server
         8  u32   sequence: counts packets of the feed; a gap is audio that was skipped
        12  u32   samples in this packet (one sample = one instant, all channels)
        16  u64   position: index in this epoch of the first sample
        24  u32   idea revision: newest ideas whose music sounds in this packet
        28  u32   hand revision: hands that were applied to this packet
        32  u32   sample rate in Hz
        36  u16   channels
        38  u16   flags: 1 = holds filler (the engine was late), 2 = sent again to a late joiner

Samples, position and rate of an Opus packet are those of the feed, too: what a decoder makes of it
is the audio that begins at `position`, so the encoder's delay is none of a listener's business.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

MAGIC = b"PP"
VERSION = 1
_LAYOUT = struct.Struct("<2sBBIIIQIIIHH")
HEADER_BYTES = _LAYOUT.size


class Codec(IntEnum):
    """How samples are written; the names are those of the hello messages."""

    PCM_S16LE = 1
    PCM_F32LE = 2
    OPUS = 3

    @property
    def label(self) -> str:
        """The codec's name on the wire: `pcm_s16le`, `pcm_f32le` or `opus`."""
        return self.name.lower()

    @property
    def sample_bytes(self) -> int:
        """Bytes of one value of one channel; ValueError for Opus, which has none of its own."""
        if self is Codec.OPUS:
            raise ValueError("an Opus packet is as long as its audio asks for")
        return 2 if self is Codec.PCM_S16LE else 4

    @classmethod
    def from_label(cls, label: str) -> Codec:
        """The codec of that name; KeyError if there is none."""
        return cls[label.upper()]


PCM_CODECS = (Codec.PCM_S16LE, Codec.PCM_F32LE)
"""What every server speaks."""


class Flag(IntFlag):
    """What a listener should know about a packet's audio."""

    NONE = 0
    FILLER = 1
    REPLAY = 2


@dataclass(frozen=True)
class PacketHeader:
    """What a packet says of its audio; see the table at the top of this file."""

    codec: Codec
    epoch: int
    sequence: int
    samples: int
    position: int
    idea_revision: int
    hand_revision: int
    sample_rate_hz: int
    channels: int
    flags: Flag = Flag.NONE

    def pack(self) -> bytes:
        """The 40 bytes; struct.error if a field does not fit."""
        return _LAYOUT.pack(
            MAGIC,
            VERSION,
            self.codec,
            self.epoch,
            self.sequence,
            self.samples,
            self.position,
            self.idea_revision,
            self.hand_revision,
            self.sample_rate_hz,
            self.channels,
            self.flags,
        )

    @classmethod
    def unpack(cls, data: bytes) -> PacketHeader:
        """Read the header of a packet; ValueError says what is wrong with it."""
        if len(data) < HEADER_BYTES:
            raise ValueError(f"a packet has at least {HEADER_BYTES} bytes, this one {len(data)}")
        magic, version, codec, *fields = _LAYOUT.unpack_from(data)
        if magic != MAGIC or version != VERSION:
            raise ValueError(f"not a version {VERSION} packet: it starts with {data[:3]!r}")
        return cls(*[Codec(codec), *fields[:-1], Flag(fields[-1])])


def encode_pcm(audio: NDArray[np.float32], codec: Codec) -> bytes:
    """Samples float32[samples, channels] as interleaved PCM; s16 is rounded and clipped."""
    if codec is Codec.PCM_F32LE:
        return audio.astype("<f4", copy=False).tobytes()
    scaled = np.rint(np.clip(audio, -1.0, 1.0) * np.float32(32767.0))
    data: bytes = scaled.astype("<i2").tobytes()
    return data


def encode_packet(header: PacketHeader, audio: NDArray[np.float32]) -> bytes:
    """Header and payload; the header's samples and channels are those of the audio."""
    samples, channels = audio.shape
    header = replace(header, samples=samples, channels=channels)
    return header.pack() + encode_pcm(audio, header.codec)


def decode_packet(data: bytes) -> tuple[PacketHeader, NDArray[np.float32]]:
    """Header and samples float32[samples, channels] of a PCM packet.

    ValueError where they disagree, and for Opus, which takes a decoder (`engine.opus`).
    """
    header = PacketHeader.unpack(data)
    expected = header.samples * header.channels * header.codec.sample_bytes
    if len(data) - HEADER_BYTES != expected:
        raise ValueError(f"the header promises {expected} bytes, {len(data) - HEADER_BYTES} follow")
    dtype = "<i2" if header.codec is Codec.PCM_S16LE else "<f4"
    values = np.frombuffer(data, dtype, offset=HEADER_BYTES).astype(np.float32)
    if header.codec is Codec.PCM_S16LE:
        values /= np.float32(32767.0)
    return header, values.reshape(header.samples, header.channels)
