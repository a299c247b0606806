"""Faults of the processes of `perpetuo serve`, as its listeners meet them."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from engine.backends import standin
from engine.bundle import Bundle, seal
from engine.commands.supervised import room_for_another
from engine.wire.packets import Flag
from tests.serving import get, listening, metrics, packets, say, text
from tests.watching import (
    ROOT,
    Heard,
    Served,
    at_rest,
    back,
    children,
    command_of,
    eventually,
    hearing,
    served,
    stat_of,
    until,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def whole(heard: Heard) -> bool:
    """One epoch, no packet missing, none twice, and never silence."""
    headers = [header for header in heard.headers if not header.flags & Flag.REPLAY]
    steps = np.diff([header.position for header in headers])
    return (
        len({header.epoch for header in headers}) == 1
        and set(steps) <= {headers[0].samples}
        and all(np.abs(audio).max() > 1e-3 for _, audio in heard.packets)
    )


def covered_and_back(heard: Heard) -> bool:
    """There was filler, and new music after it."""
    flags = [bool(header.flags & Flag.FILLER) for header in heard.headers]
    return any(flags) and not any(flags[-3:])


def plays_behind(heard: Heard, packet: int) -> bool:
    """There is new music, later than what the ring held when this packet came."""
    flags = [bool(header.flags & Flag.FILLER) for header in heard.headers]
    return len(flags) > packet + 10 and not any(flags[-3:])


async def test_an_engine_that_dies_is_replaced_and_nobody_hears_a_gap() -> None:
    with served() as running:
        async with hearing(running) as (connection, heard):
            await eventually(lambda: len(heard.packets) > 20)
            await say(connection, type="set", id=1, name="gain_db", value=-6)
            dead = running.hit("engine", signal.SIGKILL)  # it may be back before filler is needed
            await eventually(lambda: running.child("engine") not in (None, dead))
            await say(connection, type="set", id=2, name="seed", value=5)
            await eventually(lambda: heard.headers[-1].idea_revision == 2)
        assert whole(heard)
        steps = np.diff(np.concatenate([audio[:, 0] for _, audio in heard.packets]))
        assert np.abs(steps).max() < 0.2
        told = [one for one in heard.texts if one["type"] == "state"][-1]
        assert told["controls"]["gain_db"] == -6 and told["controls"]["seed"] == 5
        assert running.child("engine") not in (None, dead)
        assert (await metrics(running.port))["restarts_total{engine}"] == 1
        code, words = running.end()
    assert code == 130 and words.count("\n") == 1 and "started again" in words


async def test_hands_work_while_the_engine_stands_still_and_then_it_is_replaced() -> None:
    with served() as running:
        async with hearing(running) as (connection, heard):
            await eventually(lambda: len(heard.packets) > 12)
            stopped = running.hit("engine", signal.SIGSTOP)
            await eventually(lambda: heard.headers[-1].flags & Flag.FILLER)
            assert whole(heard)
            await say(connection, type="set", id="p", name="panic", value=1)
            await eventually(lambda: any(one.get("id") == "p" for one in heard.texts))
            await eventually(lambda: not heard.packets[-1][1].any())
            assert (await get(running.port, "/readyz"))[0] == 503
            assert (await get(running.port, "/livez"))[0] == 200
            await say(connection, type="set", id="p", name="panic", value=0)
            await eventually(lambda: running.child("engine") not in (None, stopped))
            await eventually(lambda: covered_and_back(heard) and heard.packets[-1][1].any())


async def test_a_feed_that_dies_is_back_at_its_door_in_a_new_epoch() -> None:
    with served() as running:
        async with listening(running.feed) as connection:
            await packets(connection, 3)
            await say(connection, type="set", id=1, name="gain_db", value=-3)
            await say(connection, type="prompts", id=2, prompts=[{"text": "warm piano"}])
            await text(connection, "ack")
            assert (await text(connection, "ack"))["name"] == "prompts"
            engine = running.child("engine")
            running.hit("feed", signal.SIGKILL)
        hello = await back(running, connection.hello["epoch"])
        values = {control["name"]: control["value"] for control in hello["controls"]}
        assert values["gain_db"] == -3 and running.child("engine") == engine
        async with listening(running.feed) as connection:
            prompts = (await text(connection, "start"))["prompts"]
        assert prompts == [{"text": "warm piano", "weight": 1.0}]
        assert (await metrics(running.port))["restarts_total{feed}"] == 1


async def test_a_feed_that_stands_still_is_replaced() -> None:
    with served() as running:
        async with listening(running.feed) as connection:
            await packets(connection, 3)
            running.hit("feed", signal.SIGSTOP)
        await back(running, connection.hello["epoch"])


async def test_out_of_memory_only_the_engine_dies_and_returns() -> None:
    with served() as running:
        async with hearing(running) as (connection, heard):
            await eventually(lambda: len(heard.packets) > 12)
            engine = until(lambda: running.child("engine"))
            resource.prlimit(engine, resource.RLIMIT_AS, (1 << 20, 1 << 20))
            await say(connection, type="prompts", id=1, prompts=[{"text": "warm " * 150}] * 16)
            await eventually(lambda: running.child("engine") not in (None, engine))
            replaced = len(heard.headers)  # it may be back before filler is needed
            await eventually(lambda: plays_behind(heard, replaced))
        assert whole(heard)


def test_what_dies_again_and_again_is_given_up_in_a_line() -> None:
    with served("--restarts", 1) as running:
        first = running.hit("engine", signal.SIGKILL)
        until(lambda: running.child("engine") not in (None, first))
        feed = running.child("feed")
        running.hit("engine", signal.SIGKILL)
        _, words = running.process.communicate(timeout=60)
        assert running.process.returncode == 1
        assert words.splitlines()[-1].startswith("perpetuo: the engine was ended by signal 9")
        assert stat_of(feed) == ("", "")


def test_both_end_when_their_watcher_is_killed() -> None:
    with served() as running:
        both = running.child("engine"), running.child("feed")
        running.process.kill()
        until(lambda: all(stat_of(pid)[1] in ("", "Z") for pid in both))


def test_an_engine_that_cannot_begin_is_one_line_and_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--bundle", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=90)
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and "manifest" in done.stderr


async def test_another_engine_takes_over_without_a_seam_and_systemd_knows(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        listening_in = threading.Thread(target=note_down, args=(manager, said), daemon=True)
        listening_in.start()
        with served(env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as running:
            await swap(running)
        until(lambda: said[-1] == "STOPPING=1")
        manager.shutdown(socket.SHUT_RD)
        listening_in.join(60)
    assert any("WATCHDOG=1" in one for one in said[said.index("READY=1") :])


def note_down(manager: socket.socket, said: list[str]) -> None:
    while words := manager.recv(999):
        said.append(words.decode())


async def swap(running: Served) -> None:
    async with hearing(running) as (connection, heard):
        await eventually(lambda: len(heard.packets) > 12)
        engine = until(lambda: running.child("engine"))
        running.process.send_signal(signal.SIGUSR1)
        await eventually(lambda: stat_of(engine) == ("", ""))
        count = len(heard.packets)
        await say(connection, type="set", id=1, name="seed", value=3)
        await eventually(lambda: heard.headers[-1].idea_revision == 1)
        await eventually(lambda: len(heard.packets) > count + 12)
    assert whole(heard)
    assert not any(header.flags & Flag.FILLER for header in heard.headers)
    assert running.end() == (130, "perpetuo: the bundle was taken up anew\n")


async def test_one_process_is_one_process() -> None:
    with served("--one-process") as running:
        async with listening(running.feed) as connection:
            await packets(connection, 3)
        assert running.child("engine") is None


def put(folder: Path, bundle: Bundle, version: str) -> None:
    """A bundle of the stand-in's on disk, in the place of what was there."""
    folder.mkdir(exist_ok=True)
    for graph in bundle.manifest.graphs.values():
        (folder / graph.file).write_bytes(graph.file.encode())
    if bundle.manifest.prompting is not None:
        (folder / bundle.manifest.prompting.words).write_text(json.dumps(bundle.words))
    seal(folder, {**bundle.manifest.to_json(), "version": version})


async def playing_version(running: Served, version: str) -> None:
    async with asyncio.timeout(90):
        while True:
            with suppress(OSError, ValueError, IndexError):
                info = json.loads((await get(running.port, "/info"))[2])
                if info["bundle"]["version"] == version:
                    return
            await asyncio.sleep(0.05)


async def test_bundles_change_while_it_plays_and_one_that_is_refused_changes_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bundle"
    put(folder, standin.bundle(prompting=True), "1")
    with served("--bundle", folder) as running:
        async with hearing(running) as (connection, heard):
            await say(connection, type="prompts", id=1, prompts=[{"text": "warm piano"}])
            await eventually(lambda: len(heard.packets) > 12)
            engine = until(lambda: running.child("engine"))
            (folder / "velocity.onnx").write_bytes(b"velocity.onn")
            running.process.send_signal(signal.SIGUSR1)
            await eventually(lambda: running.child("engine") != engine)
            await eventually(lambda: running.child("engine") == engine)
            put(folder, standin.bundle(prompting=True), "2")
            running.process.send_signal(signal.SIGUSR1)
            await playing_version(running, "2")
            await eventually(lambda: stat_of(engine) == ("", ""))
            # Prompts were placed anew, once as they were asked for and once in the new bundle.
            await eventually(lambda: heard.headers[-1].idea_revision == 2)
        assert whole(heard) and not any(header.flags & Flag.FILLER for header in heard.headers)
        put(folder, standin.bundle(sample_rate_hz=48000), "3")  # its listeners have to come again
        running.process.send_signal(signal.SIGUSR1)
        hello = await back(running, connection.hello["epoch"])
        await playing_version(running, "3")
        assert hello["audio"]["sample_rate_hz"] == 48000 and hello["prompting"] is None
        code, words = running.end()
    refused, kept, *taken = words.splitlines()
    assert "manifest says 13 bytes, velocity.onnx has 12" in refused
    assert "what plays goes on" in kept and taken == 2 * ["perpetuo: the bundle was taken up anew"]
    assert code == 130


async def test_an_engine_that_waits_is_the_next() -> None:
    with served(spare=True) as running:
        async with hearing(running) as (connection, heard):
            engine = running.child("engine")
            spare = await eventually(
                lambda: next((p for p in engines(running) if p != engine), None)
            )
            await at_rest(spare)  # it has loaded
            os.kill(engine or 0, signal.SIGKILL)
            await eventually(lambda: engines(running) == [spare])
            await say(connection, type="set", id=1, name="seed", value=3)
            await eventually(lambda: heard.headers[-1].idea_revision == 1)
        assert whole(heard)


def engines(running: Served) -> list[int]:
    """All engines that live, the one that waits included."""
    return [pid for pid in children(running.process.pid) if "engine" in command_of(pid)]


@pytest.mark.parametrize(("free_kb", "room"), [(900, True), (700, False), (None, False)])
def test_memory_for_another_engine_is_twice_its_own(
    tmp_path: Path, free_kb: int | None, room: bool
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("900 100 50 1 0 200 0\n")
    if free_kb is not None:
        lines = f"MemTotal: 9999 kB\nMemAvailable:   {free_kb} kB\n"
        (tmp_path / "meminfo").write_text(lines)
    assert room_for_another(7, tmp_path) == room
