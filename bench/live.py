"""`perpetuo serve` in processes of its own, heard over loopback as any listener hears it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.hearing import Hearing
from bench.processes import tree_memory_mb
from bench.timing import Tail
from engine.errors import NetworkError
from engine.wire.native import SUBPROTOCOL
from engine.wire.packets import PacketHeader

START_S = 30.0
SETTLE_S = 30.0
"""The longest that is waited for the lead of the chunks to settle."""

ASK_EVERY_S = 0.7317
"""Out of step with any chunk size, so that controls fall anywhere in a tick."""


@dataclass(frozen=True)
class LiveRun:
    """What a listener and the server's own counters say of some seconds of live music.

    All but the first audio is counted from when the engine knew what its chunks take.
    """

    seconds: float
    first_audio_s: float
    settled_s: float  # from first audio to then
    packets: int
    skipped_packets: int
    filler_packets: int
    underruns: int
    deadline_misses: int
    holds: int
    replaced_blocks: int
    ring_s: float  # the fullest that the ring was
    lead_s: float  # how long before it was due a chunk was begun, at the end
    margin_s: float
    least_spare_s: float
    feed_gap_ms: Tail
    feed_lateness_ms: Tail
    control_to_sound_s: Tail
    memory_start_mb: float
    memory_end_mb: float


@dataclass
class Serving:
    """A connection to a server that was just started, and what is heard of it."""

    feed: ClientConnection
    process_id: int
    started_s: float
    hello: dict[str, Any]
    port: int
    heard: Hearing = field(default_factory=Hearing)
    states: list[dict[str, Any]] = field(default_factory=list)

    def hear(self) -> None:
        """Take one message; TimeoutError if none comes."""
        message = self.feed.recv(timeout=10.0)
        now_s = time.monotonic()
        if isinstance(message, bytes):
            self.heard.packet(PacketHeader.unpack(message), now_s)
            return
        fields = json.loads(message)
        if fields["type"] == "ack":
            self.heard.acknowledge(int(fields["revision"]), fields.get("heard_at"))
        elif fields["type"] == "state":
            self.states.append(fields)

    def hear_until(self, end_s: float) -> None:
        """All messages up to a time."""
        while time.monotonic() < end_s:
            self.hear()

    def settle(self) -> float:
        """Hear until chunks are begun as late as they will be; seconds from the first music."""
        while self.heard.first_music_s is None or not self.states:
            self.hear()
        cautious_ms = self.states[0]["lead_ms"]
        while time.monotonic() - self.heard.first_music_s < SETTLE_S:
            if self.states[-1]["lead_ms"] < cautious_ms:
                self.hear_until(time.monotonic() + cautious_ms / 1e3)  # for what is ahead to play
                break
            self.hear()
        return time.monotonic() - self.heard.first_music_s

    @property
    def prompting(self) -> bool:
        """True where it takes prompts."""
        return self.hello["prompting"] is not None

    def control(self, kind: str) -> dict[str, Any]:
        """A control of that kind."""
        return next(control for control in self.hello["controls"] if control["kind"] == kind)

    def ask(self, control: dict[str, Any]) -> None:
        """Set a control to the value that it has by default: the music stays."""
        wish = {"type": "set", "name": control["name"], "value": control["default"], "id": 1}
        self.heard.ask(time.monotonic(), control["kind"])
        self.feed.send(json.dumps(wish))

    def grown(self, name: str) -> int:
        """By how much a counter of the server's grew over the states kept."""
        return int(self.states[-1][name] - self.states[0][name])


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[Serving]:
    """`perpetuo serve` with `arguments`, until the end of the block.

    NetworkError where it ends early or does not open its feed within 30 s.
    """
    port = _free_port()
    command = [sys.executable, "-m", "engine", "serve", "--port", str(port), *arguments]
    started_s = time.monotonic()
    with tempfile.TemporaryFile() as words:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words)
        try:
            with _open_feed(server, port, started_s) as feed:
                yield Serving(feed, server.pid, started_s, _greet(feed), port)
        except (WebSocketException, OSError) as error:
            raise NetworkError(f"perpetuo serve: {_last_line(words)} ({error})") from error
        finally:
            _stop(server)


def measure_live(arguments: Sequence[str], seconds: float) -> LiveRun:
    """Start `perpetuo serve` with `arguments`, let it settle, listen for `seconds`, stop it.

    NetworkError as `serving`.
    """
    with serving(arguments) as server:
        settled_s = server.settle()
        first_audio_s = (server.heard.first_music_s or 0.0) - server.started_s
        server.states, server.heard = server.states[-1:], Hearing()
        memory_start_mb = tree_memory_mb(server.process_id)
        _attend(server, time.monotonic() + seconds)
        return _live_run(server, seconds, first_audio_s, settled_s, memory_start_mb)


def _attend(server: Serving, end_s: float) -> None:
    """Listen until `end_s`, and set an idea now and then."""
    idea, ask_s = server.control("idea"), 0.0
    while (now_s := time.monotonic()) < end_s:
        if now_s >= ask_s and not server.heard.waiting:
            ask_s = now_s + ASK_EVERY_S
            server.ask(idea)
        server.hear()


def _live_run(
    server: Serving, seconds: float, first_audio_s: float, settled_s: float, memory_mb: float
) -> LiveRun:
    heard, states = server.heard, server.states
    return LiveRun(
        seconds=seconds,
        first_audio_s=first_audio_s,
        settled_s=settled_s,
        packets=heard.packets,
        skipped_packets=heard.skipped,
        filler_packets=heard.filler_packets,
        underruns=server.grown("underruns"),
        deadline_misses=server.grown("deadline_misses"),
        holds=server.grown("holds"),
        replaced_blocks=server.grown("replaced_blocks"),
        ring_s=max(state["fill_ms"] for state in states) / 1e3,
        lead_s=states[-1]["lead_ms"] / 1e3,
        margin_s=states[-1]["margin_ms"] / 1e3,
        least_spare_s=min(state["spare_ms"] for state in states) / 1e3,
        feed_gap_ms=heard.gaps_ms(),
        feed_lateness_ms=heard.lateness_ms(),
        control_to_sound_s=Tail.of(heard.control_to_sound_s),
        memory_start_mb=memory_mb,
        memory_end_mb=tree_memory_mb(server.process_id),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _open_feed(server: subprocess.Popen[bytes], port: int, started_s: float) -> ClientConnection:
    while time.monotonic() - started_s < START_S:
        if server.poll() is not None:
            raise OSError(f"it ended with exit code {server.returncode}")
        try:
            return connect(
                f"ws://127.0.0.1:{port}/feed",
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
            )
        except (OSError, WebSocketException, TimeoutError):
            time.sleep(0.02)
    raise OSError(f"it opened no feed on port {port} within {START_S:g} s")


def _last_line(words: IO[bytes]) -> str:
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "the feed ended"


def _greet(feed: ClientConnection) -> dict[str, Any]:
    """Exchange hellos; returns the server's."""
    hello: dict[str, Any] = json.loads(feed.recv(timeout=10.0))
    feed.send(json.dumps({"type": "hello", "codec": "pcm_s16le"}))
    return hello


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
