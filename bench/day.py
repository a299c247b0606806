"""A day of music without one lost sample, as fast as it goes: `python -m bench.day`.

The stand-in's blocks go the way that they go in `perpetuo serve`, but for the clocks and sockets:
through the ring and the marks in shared memory, the intake and the feed, into packets of
`perpetuo.v1`, which are taken apart again. What comes out must be what went in, bit by bit, in
packets that follow each other, with no filler, and every chunk must be named once and in its order.
"""

from __future__ import annotations

import hashlib
import sys
from argparse import Namespace
from dataclasses import dataclass
from time import monotonic

from tqdm import tqdm

from bench.command import answered
from engine.backends.standin import StandIn, bundle
from engine.bundle import Bundle
from engine.cli import Parser
from engine.controls import Controls
from engine.generator import Generator
from engine.process.house import Area
from engine.process.intake import Intake
from engine.process.music import Format, Music
from engine.producer import render
from engine.session import Floats
from engine.sinks.feed import Feed
from engine.spec import LadderSpec
from engine.wire.packets import Codec, Flag, PacketHeader, decode_packet

PACKET_S = 0.1
RING_CHUNKS = 4
STEPS = 1
"""Passes are not what may lose a sample, and a day has 270,000 chunks."""


@dataclass
class Listener:
    """Counts what it is sent, and what is missing."""

    packet_samples: int
    samples: int = 0
    packets: int = 0
    gaps: int = 0
    filler: int = 0

    def __post_init__(self) -> None:
        """Nothing was heard yet."""
        self.digest = hashlib.blake2b()

    def hear(self, message: bytes) -> PacketHeader:
        """Take a packet apart."""
        header, audio = decode_packet(message)
        due = (self.packets, self.packets * self.packet_samples)
        self.gaps += (header.sequence, header.position) != due
        self.filler += bool(header.flags & Flag.FILLER)
        self.packets = header.sequence + 1
        self.samples += audio.shape[0]
        self.digest.update(audio.tobytes())
        return header


@dataclass(frozen=True)
class Day:
    """What was made, and what arrived."""

    made_samples: int
    heard_samples: int
    packets: int
    gaps: int
    filler: int
    chunks: int
    skipped_chunks: int
    same: bool
    took_s: float
    rate_hz: int

    @property
    def lost_samples(self) -> int:
        """Made and not heard."""
        return self.made_samples - self.heard_samples

    @property
    def passed(self) -> bool:
        """Nothing is missing, and nothing is another."""
        return self.same and not any(
            (self.lost_samples, self.gaps, self.filler, self.skipped_chunks)
        )


class Way:
    """From a generator to a listener."""

    def __init__(self, made: Bundle) -> None:
        audio = made.manifest.audio
        controls = Controls(made.manifest.controls)
        controls.set("steps", STEPS)
        generator = Generator(made, StandIn(made), ladder=LadderSpec(STEPS, 1, ()))
        packet_samples = round(PACKET_S * audio.sample_rate_hz)
        capacity = RING_CHUNKS * generator.chunk_samples + packet_samples
        self.music = Music(Area.made(), Format(audio.sample_rate_hz, audio.channels, capacity))
        self.music.begin()
        self.intake = Intake(lambda: self.music, audio.sample_rate_hz)
        self.feed = Feed(
            self.intake, self.intake, sample_rate_hz=audio.sample_rate_hz,
            packet_samples=packet_samples, epoch=1,
        )  # fmt: skip
        self.listener = Listener(packet_samples)
        self.digest = hashlib.blake2b()
        self.chunks, self.skipped_chunks = 0, 0
        self._packet_samples = packet_samples
        self._controls = controls
        self._blocks = render(generator, controls)

    def pass_on(self) -> int:
        """One block, from its tick to the listener; its samples."""
        block = next(self._blocks)
        self.skipped_chunks += block.cover or block.index != self.chunks
        self.chunks += 1
        self.digest.update(block.audio.tobytes())
        assert self.music.ring.write(block.audio), "the listener takes all that there is"
        self.music.marks.note(block)
        self.music.tail.add(block.audio)
        while self.intake.fill_samples >= self._packet_samples:
            self._send()
        return int(block.audio.shape[0])

    def flush(self) -> Floats:
        """What is less than a packet and remains in the ring."""
        rest = self.music.ring.fill_samples
        packet = self.feed.pull(self._controls.snapshot())
        return packet.audio[:rest]

    def _send(self) -> None:
        packet = self.feed.pull(self._controls.snapshot())
        mark = self.intake.at(packet.header.position)
        self.listener.hear(packet.encoded(Codec.PCM_F32LE))
        assert mark is not None


def play(hours: float, rate_hz: int, channels: int, *, quiet: bool = True) -> Day:
    """So many hours of music."""
    way, rate = Way(bundle(sample_rate_hz=rate_hz, channels=channels)), rate_hz
    wanted, made, began_s = round(3600 * hours * rate), 0, monotonic()
    with tqdm(total=wanted / rate / 3600, unit="h", disable=quiet or None) as bar:
        while made < wanted:
            samples = way.pass_on()
            made += samples
            bar.update(samples / rate / 3600)
    listener = way.listener
    rest = way.flush()
    listener.samples += rest.shape[0]
    listener.digest.update(rest.tobytes())
    return Day(
        made, listener.samples, listener.packets, listener.gaps, listener.filler, way.chunks,
        way.skipped_chunks, listener.digest.digest() == way.digest.digest(),
        monotonic() - began_s, rate,
    )  # fmt: skip


def report(day: Day) -> list[str]:
    """For people."""
    hours = day.made_samples / day.rate_hz / 3600
    same = "bit by bit" if day.same else "NOT the same"
    return [
        f"music      {hours:.2f} h in {day.took_s:.0f} s, "
        f"{3600 * hours / day.took_s:.0f} times real time",
        f"samples    {day.made_samples:,} made, {day.heard_samples:,} heard, "
        f"{day.lost_samples:,} lost; {same}",
        f"packets    {day.packets:,}, {day.gaps} gaps, {day.filler} of filler",
        f"chunks     {day.chunks:,}, {day.skipped_chunks} out of their order",
        "passed" if day.passed else "failed",
    ]


def main() -> int:
    """0 where all of it arrived, else 1."""
    parser = Parser(prog="python -m bench.day", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--rate", type=int, default=48000, help="samples a second (48000)")
    parser.add_argument("--channels", type=int, default=2)
    return answered("day", lambda: _run(parser.parse_args()))


def _run(given: Namespace) -> int:
    day = play(given.hours, given.rate, given.channels, quiet=False)
    print("\n".join(report(day)), flush=True)
    return 0 if day.passed else 1


if __name__ == "__main__":
    sys.exit(main())
