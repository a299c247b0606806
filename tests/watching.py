"""`perpetuo serve` to test as users start it: its processes, and what its listeners hear."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from websockets.exceptions import WebSocketException

from engine.wire.packets import PacketHeader, decode_packet
from tests.serving import listening, packets

ROOT = Path(__file__).parent.parent
PATIENCE_S = 90.0


@dataclass
class Served:
    """A running command."""

    process: subprocess.Popen[str]
    port: int

    @property
    def feed(self) -> str:
        return f"ws://127.0.0.1:{self.port}/feed"

    def child(self, role: str) -> int | None:
        """The process of that role that was started last."""
        found = [pid for pid in children(self.process.pid) if role in command_of(pid)]
        return max(found, default=None)

    def hit(self, role: str, number: signal.Signals) -> int:
        """Send a signal to a child, and tell which one got it."""
        pid = until(lambda: self.child(role))
        os.kill(pid, number)
        return pid

    def end(self) -> tuple[int, str]:
        """Ctrl-C: the exit code, and what was said on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, words = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, words


@contextmanager
def served(*arguments: object, spare: bool = False, **options: Any) -> Iterator[Served]:
    """`perpetuo serve` on the stand-in and a free port, once it listens."""
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--backend", "standin"]
    command += [] if spare else ["--no-spare"]
    options = {"stderr": subprocess.PIPE, **options}
    with subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT, **options
    ) as process:
        try:
            assert process.stdout is not None
            port = re.search(r":(\d+)/", process.stdout.readline())
            assert port is not None, process.communicate()[1]
            yield Served(process, int(port[1]))
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.communicate(timeout=PATIENCE_S)
                finally:
                    process.kill()


def until(found: Callable[[], Any]) -> Any:
    """What is found, as soon as it is."""
    give_up_s = monotonic() + PATIENCE_S
    while monotonic() < give_up_s:
        if value := found():
            return value
        sleep(0.02)
    raise AssertionError("that never happened")


def children(parent: int) -> list[int]:
    """The living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and stat_of(int(entry.name))[:2] in (
            (str(parent), s) for s in "RSDTt"
        ):
            found.append(int(entry.name))
    return found


def stat_of(pid: int) -> tuple[str, str]:
    """Parent and state of a process; nothing where there is none."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return after[1], after[0]
    except OSError:
        return "", ""


def command_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


async def at_rest(pid: int, for_s: float = 1.0) -> None:
    """Wait until a process has had next to no processor for so long: it waits for something."""
    async with asyncio.timeout(PATIENCE_S):
        before, now = -10, spent(pid)
        while now - before > 2:
            await asyncio.sleep(for_s)
            before, now = now, spent(pid)


def spent(pid: int) -> int:
    """Ticks of the clock (10 ms) that a process has had of a processor."""
    after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after[11]) + int(after[12])


@dataclass
class Heard:
    """What a listener got: headers and audio of all packets, and the texts."""

    packets: list[tuple[PacketHeader, Any]]
    texts: list[dict[str, Any]]

    @property
    def headers(self) -> list[PacketHeader]:
        return [header for header, _ in self.packets]


@asynccontextmanager
async def hearing(served: Served) -> AsyncIterator[tuple[Any, Heard]]:
    """A listener that takes everything down, and its connection."""
    heard = Heard([], [])

    async def listen() -> None:
        async for message in connection:
            if isinstance(message, bytes):
                heard.packets.append(decode_packet(message))
            else:
                heard.texts.append(json.loads(message))

    async with listening(served.feed) as connection:
        task = asyncio.create_task(listen())
        try:
            yield connection, heard
        finally:
            task.cancel()


async def eventually(found: Callable[[], Any]) -> Any:
    """What is found, as soon as it is."""
    async with asyncio.timeout(PATIENCE_S):
        while not (value := found()):
            await asyncio.sleep(0.02)
        return value


async def back(running: Served, epoch: int, within_s: float = 60.0) -> Any:
    """The hello of the process that follows, once it plays."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                async with listening(running.feed) as connection:
                    if connection.hello["epoch"] != epoch:
                        await packets(connection, 3)
                        return connection.hello
            except (OSError, WebSocketException):
                await asyncio.sleep(0.05)
