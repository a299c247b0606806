"""Crowds at the door: who is refused gets a hint for little, and listeners hear nothing of it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from pathlib import Path

import pytest
from certifying import certified, needs_openssl, trusting
from serving import get, listening, metrics, packets, playing_tape
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

from engine.sinks import door
from engine.sinks.config import ServeConfig
from engine.sinks.door import (
    REFUSAL,
    ROOM,
    TURN,
    Door,
    Porter,
    let_in,
    open_doors,
    serve_at_doors,
)
from engine.wire.limits import TokenBucket

ASKED = (
    b"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: perpetuo.v1\r\n\r\n"
)


def porter(burst: int, *, full: bool = False, encrypted: bool = False) -> tuple[Porter, list[str]]:
    """One who lets in so many and nobody after them, and why others had to go."""
    refused: list[str] = []
    made = Porter(0, lambda: full, refused.append, encrypted)
    made._usual = made._when_full = TokenBucket(0.0, burst)
    return made, refused


async def knock(port: int, stay: asyncio.Event) -> tuple[str, bytes]:
    """Ask for the feed; the status and the head of the answer. Who is let in stays."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(ASKED)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        if head.split()[1] == b"101":
            await stay.wait()
        return head.split()[1].decode(), head
    finally:
        writer.close()


@pytest.mark.parametrize("places", [10, 300])
async def test_of_a_crowd_some_come_in_and_the_others_get_a_hint(places: int) -> None:
    """600 at once: at the door, or in the handshake, each beyond the places is told when."""
    crowd, stay = 600, asyncio.Event()
    async with playing_tape(max_connections=places) as tape, listening(tape.url) as good:
        await packets(good, 1)
        knocking = [asyncio.create_task(knock(tape.server.port, stay)) for _ in range(crowd)]
        heard = await packets(good, 50)
        stay.set()
        answers = await asyncio.gather(*knocking)
        heard += await packets(good, 20)
    sequences = [header.sequence for header, _ in heard]
    assert sequences == list(range(sequences[0], sequences[0] + 70))
    assert len({header.epoch for header, _ in heard}) == 1
    counts = Counter(status for status, _ in answers)
    assert set(counts) == {"101", "503"}
    assert all(b"Retry-After: 5\r\n" in head for status, head in answers if status == "503")
    assert counts["503"] >= crowd - places - 400


async def test_after_a_crowd_the_http_side_answers_and_has_counted() -> None:
    async with playing_tape() as tape:
        tape.server._porter._usual = TokenBucket(100.0, 1.0)
        stay = asyncio.Event()
        stay.set()
        answers = await asyncio.gather(*(knock(tape.server.port, stay) for _ in range(100)))
        async with asyncio.timeout(30):
            while (await get(tape.server.port, "/livez"))[0] != 200:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
            now = await metrics(tape.server.port)
    assert now["refused_total{busy}"] >= sum(status == "503" for status, _ in answers) > 0


async def test_who_has_not_asked_is_waited_for_and_hears_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, refused = porter(0)
    ours, theirs = socket.socketpair()
    assert not made.admits(ours)
    assert refused == ["busy"]
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    theirs.send(ASKED)
    assert await asyncio.get_running_loop().sock_recv(theirs, 4096) == REFUSAL
    assert await asyncio.get_running_loop().sock_recv(theirs, 4096) == b""
    monkeypatch.setattr(door, "PATIENCE_S", 0.0)
    silent, other = socket.socketpair()
    assert not made.admits(silent)
    other.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(other, 4096) == REFUSAL
    for end in (theirs, other):
        end.close()


async def test_the_room_holds_so_many_and_is_cleared_at_the_end() -> None:
    made, _ = porter(0)
    pairs = [socket.socketpair() for _ in range(ROOM + 3)]
    for ours, _ in pairs:
        assert not made.admits(ours)
    assert [theirs.recv(4096) for _, theirs in pairs[:3]] == [REFUSAL] * 3
    assert sum(ours.fileno() >= 0 for ours, _ in pairs) == ROOM
    made.close()
    assert all(ours.fileno() < 0 for ours, _ in pairs)
    for _, theirs in pairs:
        theirs.close()


async def test_behind_tls_the_door_is_closed_without_a_word() -> None:
    made, refused = porter(1, full=True, encrypted=True)
    pairs = [socket.socketpair() for _ in range(2)]
    assert [made.admits(ours) for ours, _ in pairs] == [True, False]
    assert refused == ["full"]
    assert pairs[1][1].recv(4096) == b""
    for end in (*pairs[0], pairs[1][1]):
        end.close()


async def test_a_turn_looks_at_a_few_only() -> None:
    made, refused = porter(TURN)
    (listening_at,) = await open_doors("127.0.0.1", 0, made)
    with listening_at:
        listening_at.listen(3 * TURN)
        address = listening_at.getsockname()
        clients = [socket.create_connection(address) for _ in range(3 * TURN)]
        turns = [_turn(listening_at) for _ in range(3)]
    assert [len(turn) for turn in turns] == [TURN, 0, 0]
    assert len(refused) == 2 * TURN
    made.close()
    for end in (*clients, *turns[0]):
        end.close()


def _turn(listening_at: Door) -> list[socket.socket]:
    """Whom the loop gets until it is told that there is nobody."""
    came: list[socket.socket] = []
    with pytest.raises(BlockingIOError):
        while True:
            came.append(listening_at.accept()[0])
    return came


async def test_a_host_of_two_addresses_has_two_doors() -> None:
    made, _ = porter(1)
    doors = await open_doors("", 0, made)
    found = {one.family for one in doors}
    for one in doors:
        one.close()
    assert socket.AF_INET in found
    assert len(found) == len(doors)


async def test_nobody_comes_in_before_all_is_ready() -> None:
    made, _ = porter(1)
    config = ServeConfig(port=0)
    servers = await serve_at_doors(_say_nothing, config, made)
    address = next(iter(servers[0].sockets)).getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    await let_in(servers, config)
    async with connect(f"ws://127.0.0.1:{address[1]}"):
        pass
    made.close()
    for server in servers:
        server.close()
        await server.wait_closed()


async def _say_nothing(connection: ServerConnection) -> None:
    await connection.wait_closed()


@needs_openssl
async def test_a_crowd_at_an_encrypted_door_leaves_the_listeners_alone(tmp_path: Path) -> None:
    files = certified(tmp_path)
    async with (
        playing_tape(**files) as tape,
        listening(tape.url.replace("ws:", "wss:"), ssl=trusting(files)) as good,
    ):
        tape.server._porter._usual = TokenBucket(0.0, 0.0)
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", tape.server.port)
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
        heard = [header.sequence for header, _ in await packets(good, 20)]
    assert heard == list(range(heard[0], heard[0] + 20))
