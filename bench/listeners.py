"""Many listeners of one feed, some of them stalled: `python -m bench.listeners`.

`perpetuo serve` runs on the stand-in, in processes of its own; this one holds the other ends, and
takes apart no more of what comes than it must, so that it is not what is measured. Give the two
cores of their own where there are two: the feed's by --core.

A gap is the time between two packets of one listener; they are due every 100 ms. A third of the
time nobody is stalled, so that what the stalled ones cost the others shows. What the machine itself
costs stands beside it: how late this process is woken, how long the server waited for a processor.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

from bench.processes import tree, tree_memory_mb, turns_s
from bench.timing import Tail
from engine.wire.packets import HEADER_BYTES, MAGIC, PacketHeader

PACKET_S = 0.1
MOST_GAP_PACKETS = 2.0
SETTLE_S = 3.0
TURN_S = 0.02
SMALL_BYTES = 4096
CUT = 'perpetuo_listeners_gone_total{reason="behind"}'
TICKS_HZ = os.sysconf("SC_CLK_TCK")


class Ear(asyncio.Protocol):
    """One listener: says hello, and notes when packets come."""

    def __init__(self, host: str, codec: str) -> None:
        self.times_s: list[float] = []
        self.before_s: list[float] = []  # times before anybody was stalled
        self.missed = 0
        self.gone = False
        self.stalled = False
        self._host = host
        self._codec = codec
        self._held = b""
        self._open = False
        self._sequence: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the feed."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = (
            "GET /feed HTTP/1.1", f"Host: {self._host}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: perpetuo.v1", "", "",
        )  # fmt: skip
        transport.write("\r\n".join(lines).encode())

    def connection_lost(self, error: Exception | None) -> None:
        """Cut, or refused."""
        self.gone = True

    def data_received(self, data: bytes) -> None:
        """Take frames apart; note the packets among them."""
        self._held += data
        if not self._open:
            head, found, rest = self._held.partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head.partition(b"\r\n")[0], head[:80]
            self._open, self._held = True, rest
            self._transport.write(_text(b'{"type":"hello","codec":"%s"}' % self._codec.encode()))
        while (frame := self._frame()) is not None:
            if frame[:2] == MAGIC and len(frame) >= HEADER_BYTES:
                self._note(PacketHeader.unpack(frame).sequence)

    def stall(self) -> None:
        """Read nothing any more."""
        self.stalled = True
        self._transport.pause_reading()

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def _note(self, sequence: int) -> None:
        if self._sequence is not None:
            self.missed += sequence - self._sequence - 1
        self._sequence = sequence
        self.times_s.append(time.monotonic())

    def _frame(self) -> bytes | None:
        """The payload of the next whole frame of the server; pings are answered."""
        if len(self._held) < 2:
            return None
        size, at = self._held[1] & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(self._held[2 : 2 + wide]), 2 + wide
        if len(self._held) < at + size:
            return None
        kind, payload = self._held[0] & 15, self._held[at : at + size]
        self._held = self._held[at + size :]
        if kind == 9:
            self._transport.write(_masked(0x8A, payload))
        return payload


def _text(payload: bytes) -> bytes:
    return _masked(0x81, payload)


def _masked(first: int, payload: bytes) -> bytes:
    """A short frame of a client; a mask of zeros is one, too."""
    return bytes([first, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


async def measure(address: str, given: argparse.Namespace) -> tuple[list[Ear], Tail]:
    """Connect, settle, listen, stall some, listen; how late this process was woken, in packets."""
    parts, loop = urlsplit(address), asyncio.get_running_loop()
    ears: list[Ear] = []
    for number in range(given.listeners):
        link = socket.socket()
        if number < given.stalled:  # so that it stands still at once
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        link.connect((parts.hostname, parts.port))
        link.setblocking(False)
        _, ear = await loop.create_connection(lambda: Ear(parts.netloc, given.codec), sock=link)
        ears.append(ear)
    await asyncio.sleep(SETTLE_S)
    for ear in ears:
        ear.times_s.clear()
    late = await _wait(given.seconds / 3)
    for ear in ears:
        ear.before_s, ear.times_s = ear.times_s, []
    for ear in ears[: given.stalled]:
        ear.stall()
    late += await _wait(given.seconds * 2 / 3)
    return ears, Tail.of(late)


async def _wait(seconds: float) -> list[float]:
    """So long; how late each of many short sleeps ended, in packets."""
    end_s, late = time.monotonic() + seconds, []
    while (now_s := time.monotonic()) < end_s:
        await asyncio.sleep(TURN_S)
        late.append((time.monotonic() - now_s - TURN_S) / PACKET_S)
    return late


def _gaps(times_s: Sequence[float]) -> list[float]:
    """In packets."""
    return [(after - before) / PACKET_S for before, after in itertools.pairwise(times_s)]


def report(ears: Sequence[Ear], cut: int, cpu_s: float, memory_mb: float, seconds: float) -> bool:
    """Print it; True if everybody who was not stalled heard what is asked for."""
    heard = [ear for ear in ears if not ear.stalled]
    gaps = [_gaps(ear.times_s) for ear in heard]
    before = Tail.of([gap for ear in heard for gap in _gaps(ear.before_s)])
    every = Tail.of([gap for one in gaps for gap in one])
    worst = max((Tail.of(one).p99 for one in gaps), default=float("nan"))
    lost, gone = sum(ear.missed for ear in heard), sum(ear.gone for ear in heard)
    print(f"listeners        {len(heard)}, and {len(ears) - len(heard)} stalled, {cut} of them cut")
    print(f"while all read   p50 {before.p50:.2f}  p99 {before.p99:.2f}  max {before.max:.2f}")
    print(f"gap, in packets  p50 {every.p50:.2f}  p99 {every.p99:.2f}  max {every.max:.2f}")
    print(f"worst listener   p99 {worst:.2f} (at most {MOST_GAP_PACKETS:g})")
    print(f"lost             {lost} packets, {gone} listeners")
    print(f"perpetuo serve   {100 * cpu_s / seconds:.0f} % of a core, {memory_mb:.0f} MB")
    return worst <= MOST_GAP_PACKETS and not lost and not gone


def main() -> int:
    """0 where the listeners heard what is asked for, else 1."""
    parser = argparse.ArgumentParser(description="Many listeners of one feed.")
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--stalled", type=int, default=20)
    parser.add_argument("--codec", default="opus", choices=("opus", "pcm_s16le", "pcm_f32le"))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--core", type=int, help="the only one that perpetuo serve may use")
    given = parser.parse_args()
    pinned = [] if given.core is None else [shutil.which("taskset") or "taskset", "-c", given.core]
    command = [
        *map(str, pinned), sys.executable, "-m", "engine", "serve", "--backend", "standin",
        "--port", "0", "--listeners", str(given.listeners + 10),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            address = serving.stdout.readline().split(" at ")[1].split()[0]
            before = cpu_s(serving.pid)
            ears, late = asyncio.run(measure(address, given))
            cut = cut_by(address)
            waited_s = sum(turns_s(one)[1] for one in tree(serving.pid))
            used, memory_mb = cpu_s(serving.pid) - before, tree_memory_mb(serving.pid)
        finally:
            serving.terminate()
    passed = report(ears, cut, used, memory_mb, given.seconds + SETTLE_S)
    print(f"woken late here  p50 {late.p50:.2f}  p99 {late.p99:.2f}  max {late.max:.2f} packets")
    print(f"perpetuo serve   waited {waited_s:.1f} s for a processor")
    return 0 if passed else 1


def cut_by(address: str) -> int:
    """How many listeners the server has cut; those who do not read never hear of it."""
    with urllib.request.urlopen(f"{address}metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [line.split()[-1] for line in lines if line.startswith(CUT)]
    return sum(int(float(value)) for value in found)


def cpu_s(process_id: int) -> float:
    """Processor time of a process and all below it that are still there."""
    total = 0
    for one in tree(process_id):
        with open(f"/proc/{one}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_HZ


if __name__ == "__main__":
    sys.exit(main())
