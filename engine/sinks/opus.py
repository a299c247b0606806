"""The feed in Opus, encoded once for everybody who listens to it, and only while somebody does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from engine.errors import UsageError
from engine.opus import (
    KBPS,
    MOST_CHANNELS,
    PRE_SKIP,
    OpusEncoder,
    available,
    delay_samples,
    library,
    packet_us,
)
from engine.sinks.feed import Packet
from engine.wire.packets import Codec, Flag


def opus_track(rate_hz: int, channels: int, packet_samples: int, recent: int) -> OpusTrack | None:
    """The feed's Opus; None without PyAV, and for packets that Opus cannot be as long as."""
    if not available() or packet_us(rate_hz, packet_samples) is None:
        return None
    return OpusTrack(rate_hz, channels, packet_samples, recent)


class OpusTrack:
    """Makes Opus messages of the feed's packets, one of each.

    The encoder follows the feed from packet to packet; where it was not asked for one, it begins
    anew. The last `recent` packets stay encoded for late joiners.
    """

    def __init__(self, rate_hz: int, channels: int, packet_samples: int, recent: int) -> None:
        self.delay_samples = delay_samples(rate_hz)
        self._format = rate_hz, channels, packet_samples
        self._channels = min(channels, MOST_CHANNELS)
        self._encoder: OpusEncoder | None = None
        self._keep = recent + 1
        self._next = 0
        self._made: dict[int, bytes] = {}

    @property
    def bytes_hz(self) -> float:
        """About so many bytes a second."""
        return 1000 * KBPS * self._channels / 8

    def warm(self) -> None:
        """Load the library now, from any thread, so that the first listener need not wait."""
        with suppress(UsageError):  # who asks for Opus is told
            library()

    def fields(self) -> dict[str, int]:
        """What the server's hello says of it."""
        return {
            "kbps": KBPS * self._channels,
            "channels": self._channels,
            "pre_skip": PRE_SKIP,
            "delay_samples": self.delay_samples,
        }

    def message(self, packet: Packet, flag: Flag = Flag.NONE) -> bytes | None:
        """Header and Opus packet, `flag` added; ask for the packets in their order.

        None for what lies before the first sample of the epoch: the encoder's delay. UsageError
        where the library is there and broken.
        """
        position = packet.header.position - self.delay_samples
        payload = self._payload(packet)
        if position < 0:
            return None
        header = replace(
            packet.header, codec=Codec.OPUS, position=position, channels=self._channels,
            flags=packet.header.flags | flag,
        )  # fmt: skip
        return header.pack() + payload

    def _payload(self, packet: Packet) -> bytes:
        sequence = packet.header.sequence
        if sequence not in self._made:
            if self._encoder is None or self._next != sequence:
                self._encoder = OpusEncoder(*self._format)
            self._made[sequence] = self._encoder.encode(packet.audio)
            self._next = sequence + 1
            for old in [old for old in self._made if old <= sequence - self._keep]:
                del self._made[old]
        return self._made[sequence]
