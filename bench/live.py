"""`perpetuo serve` in a process of its own, heard over loopback as any listener hears it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench import machine
from bench.hearing import Hearing
from bench.timing import Tail
from engine.errors import NetworkError
from engine.wire.native import SUBPROTOCOL
from engine.wire.packets import PacketHeader

START_S = 30.0
ASK_EVERY_S = 0.7317
"""Out of step with any chunk size, so that controls fall anywhere in a tick."""


@dataclass(frozen=True)
class LiveRun:
    """What a listener and the server's own counters say of some seconds of live music."""

    seconds: float
    first_audio_s: float
    packets: int
    skipped_packets: int
    filler_packets: int
    underruns: int
    deadline_misses: int
    holds: int
    replaced_blocks: int
    ring_s: float
    feed_gap_ms: Tail
    feed_lateness_ms: Tail
    control_to_sound_s: Tail
    memory_start_mb: float
    memory_end_mb: float


def measure_live(arguments: Sequence[str], seconds: float) -> LiveRun:
    """Start `perpetuo serve` with `arguments`, listen for `seconds`, stop it.

    NetworkError where it ends early or does not open its feed within 30 s.
    """
    port = _free_port()
    command = [sys.executable, "-m", "engine", "serve", "--port", str(port), *arguments]
    started_s = time.monotonic()
    with tempfile.TemporaryFile() as words:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words)
        try:
            with _open_feed(server, port, started_s) as feed:
                return _listen(feed, server.pid, started_s, seconds)
        except (WebSocketException, OSError) as error:
            raise NetworkError(f"perpetuo serve: {_last_line(words)} ({error})") from error
        finally:
            _stop(server)


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


@dataclass
class _Engine:
    """What the server's state messages said first and last, and the fullest ring of all."""

    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    ring_s: float = 0.0

    def note(self, state: dict[str, Any]) -> None:
        self.first = self.first or state
        self.last = state
        self.ring_s = max(self.ring_s, state["fill_ms"] / 1e3)

    def grown(self, name: str) -> int:
        return int(self.last[name] - self.first[name])


def _listen(feed: ClientConnection, server_id: int, started_s: float, seconds: float) -> LiveRun:
    heard, engine = Hearing(), _Engine()
    idea = _greet(feed)
    while heard.first_music_s is None or not engine.first:
        _hear(feed, heard, engine)
    memory_start_mb = machine.memory_mb(server_id)
    _attend(feed, heard, engine, idea, heard.first_music_s + seconds)
    return LiveRun(
        seconds=seconds,
        first_audio_s=heard.first_music_s - started_s,
        packets=heard.packets,
        skipped_packets=heard.skipped,
        filler_packets=heard.filler_packets,
        underruns=engine.grown("underruns"),
        deadline_misses=engine.grown("deadline_misses"),
        holds=engine.grown("holds"),
        replaced_blocks=engine.grown("replaced_blocks"),
        ring_s=engine.ring_s,
        feed_gap_ms=heard.gaps_ms(),
        feed_lateness_ms=heard.lateness_ms(),
        control_to_sound_s=Tail.of(heard.control_to_sound_s),
        memory_start_mb=memory_start_mb,
        memory_end_mb=machine.memory_mb(server_id),
    )


def _attend(
    feed: ClientConnection, heard: Hearing, engine: _Engine, idea: dict[str, Any], end_s: float
) -> None:
    """Listen until `end_s`, setting the idea to its default now and then: the music stays."""
    wish = {"type": "set", "name": idea["name"], "value": idea["default"], "id": 1}
    ask_s = time.monotonic() + ASK_EVERY_S
    while (now_s := time.monotonic()) < end_s:
        if now_s >= ask_s and not heard.waiting:
            ask_s = now_s + ASK_EVERY_S
            heard.ask(time.monotonic())
            feed.send(json.dumps(wish))
        _hear(feed, heard, engine)


def _greet(feed: ClientConnection) -> dict[str, Any]:
    """Exchange hellos; returns an idea that may be set."""
    hello = json.loads(feed.recv(timeout=10.0))
    feed.send(json.dumps({"type": "hello", "codec": "pcm_s16le"}))
    ideas: list[dict[str, Any]] = [c for c in hello["controls"] if c["kind"] == "idea"]
    return ideas[0]


def _hear(feed: ClientConnection, heard: Hearing, engine: _Engine) -> None:
    message = feed.recv(timeout=10.0)
    now_s = time.monotonic()
    if isinstance(message, bytes):
        heard.packet(PacketHeader.unpack(message), now_s)
        return
    fields = json.loads(message)
    if fields["type"] == "ack":
        heard.acknowledge(int(fields["revision"]))
    elif fields["type"] == "state":
        engine.note(fields)


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
