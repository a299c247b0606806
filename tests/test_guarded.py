"""A house of one process, with a rig or with sessions, and its screen: they die, and change."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from engine.backends import standin
from tests.serving import get, listening, metrics, packets, say, text
from tests.test_supervised import playing_version, put
from tests.watching import Served, back, eventually, served, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def value_of(hello: dict[str, Any], name: str) -> Any:
    return next(one["value"] for one in hello["controls"] if one["name"] == name)


@pytest.mark.parametrize("hit", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_house_that_is_gone_is_back_at_its_door_as_it_was(
    tmp_path: Path, hit: signal.Signals
) -> None:
    flight = tmp_path / "one.jsonl"
    with served("--flight", flight, "--sessions", 1) as running:
        async with listening(running.feed) as connection:
            await packets(connection, 5)
            await say(connection, type="set", id=1, name="gain_db", value=-6)
            await say(connection, type="set", id=2, name="bpm", value=99)
            await text(connection, "ack")
            await text(connection, "ack")
            await say(connection, type="prompts", id=3, prompts=[{"text": "jazz", "weight": 1}])
            assert (await text(connection, "ack", "error"))["type"] == "ack"
            await asyncio.sleep(0.3)
            epoch = connection.hello["epoch"]
        running.hit("house", hit)
        hello = await back(running, epoch, 90.0)
        assert value_of(hello, "gain_db") == -6 and value_of(hello, "bpm") == 99
        async with listening(running.feed) as connection:
            start = await text(connection, "start")
            assert start["prompts"] == [{"text": "jazz", "weight": 1.0}]
        assert (await metrics(running.port))["restarts_total{house}"] == 1
        _, _, info = await get(running.port, "/info")
        assert json.loads(info)["sessions"]["places"] == 1
        code, words = running.end()
    assert code == 130
    assert "started again" in words and "one-2.jsonl" in words and "Traceback" not in words
    assert flight.stat().st_size > 0 and (tmp_path / "one-2.jsonl").stat().st_size > 0


def test_what_cannot_begin_ends_with_its_own_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--sessions", "1"]
    done = subprocess.run(
        [*command, "--bundle", str(tmp_path)], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_dies_again_and_again_is_given_up() -> None:
    with served("--sessions", 1, "--restarts", 0) as running:
        running.hit("house", signal.SIGKILL)
        _, words = running.process.communicate(timeout=90)
    assert running.process.returncode == 1
    assert "is not started any more" in words


async def test_another_bundle_comes_and_one_that_is_refused_changes_nothing(
    tmp_path: Path,
) -> None:
    folder, flight = tmp_path / "bundle", tmp_path / "one.jsonl"
    put(folder, standin.bundle(prompting=True), "1")
    with served("--bundle", folder, "--sessions", 1, "--flight", flight) as running:
        async with listening(running.feed) as connection:
            await packets(connection, 3)
            await say(connection, type="set", id=1, name="gain_db", value=-6)
            await text(connection, "ack")
            epoch, house = connection.hello["epoch"], running.child("house")
            (folder / "velocity.onnx").write_bytes(b"velocity.onn")
            running.process.send_signal(signal.SIGUSR1)
            await eventually(lambda: running.child("house") != house)
            await eventually(lambda: running.child("house") == house)
            await packets(connection, 3)
        put(folder, standin.bundle(prompting=True), "2")
        running.process.send_signal(signal.SIGUSR1)
        hello = await back(running, epoch, 90.0)
        assert hello["bundle"]["version"] == "2" and value_of(hello, "gain_db") == -6
        assert (await metrics(running.port))["restarts_total{house}"] == 0
        put(folder, standin.bundle(sample_rate_hz=48000), "3")
        running.process.send_signal(signal.SIGUSR1)
        await playing_version(running, "3")
        code, words = running.end()
    told = words.splitlines()
    assert "manifest says 13 bytes, velocity.onnx has 12" in told[0]
    assert "what plays goes on" in told[1] and "one-2.jsonl" in words
    assert sum("the bundle was taken up anew" in line for line in told) == 2
    assert code == 130 and "Traceback" not in words


SCREEN = b"\x1b[?1049h"
"""A screen begins: the terminal shows its other page."""


class Wall:
    """A terminal and what was written on it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.modes = termios.tcgetattr(self.theirs)
        self.written = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def shows(self, words: str, screen: int = 0) -> bool:
        """Were these words written? By this screen (1, 2, …) or one after it, if it is named."""
        parts = self.written.split(SCREEN)
        return any(words.encode() in part for part in parts[screen:])

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def _read(self) -> None:
        try:
            while more := os.read(self.ours, 65536):
                self.written += more
        except OSError:  # nobody has it open any more
            pass


@contextmanager
def on_a_wall(*arguments: object) -> Iterator[tuple[Served, Wall]]:
    """`perpetuo serve --screen`."""
    pytest.importorskip("textual")
    wall = Wall()
    environment = {**os.environ, "TERM": "xterm-256color"}
    for size in ("COLUMNS", "LINES"):
        environment.pop(size, None)
    ends = {"stdin": wall.theirs, "stderr": wall.theirs}
    try:
        with served("--screen", *arguments, env=environment, **ends) as running:
            yield running, wall
    finally:
        os.close(wall.theirs)


async def test_the_screen_stays_while_houses_come_and_go_and_may_die_itself() -> None:
    with on_a_wall() as (running, wall):
        await eventually(lambda: wall.shows("underruns 0"))
        screen, house = running.child("screen"), running.child("house")
        running.hit("house", signal.SIGKILL)
        await eventually(lambda: wall.shows("ended by signal 9; it is started again"))
        await eventually(lambda: running.child("house") not in (None, house))
        assert running.child("screen") == screen
        async with listening(await door(running)) as connection:
            written = len(wall.written)
            await eventually(lambda: b"ms ahead" in wall.written[written:])
            wall.press("m")
            state = await text(connection, "state")
            while not state["controls"]["mute"]:
                state = await text(connection, "state")
        house = running.child("house")
        running.hit("screen", signal.SIGKILL)
        await eventually(lambda: running.child("screen") not in (None, screen))
        await eventually(lambda: wall.shows("underruns 0", screen=2))
        assert running.child("house") == house
        wall.press("\x03")
        running.process.communicate(timeout=90)
        assert running.process.returncode == 0
        assert termios.tcgetattr(wall.theirs) == wall.modes
    assert wall.shows("the screen was ended by signal 9; it is started again")


async def door(running: Served) -> str:
    """The feed, once somebody is heard there."""
    async with asyncio.timeout(90):
        while True:
            try:
                async with listening(running.feed) as connection:
                    await packets(connection, 1)
                    return running.feed
            except (OSError, WebSocketException):
                await asyncio.sleep(0.05)


def test_a_screen_that_breaks_again_and_again_is_given_up_and_the_music_goes_on() -> None:
    with on_a_wall("--restarts", 0) as (running, wall):
        until(lambda: wall.shows("underruns 0"))
        running.hit("screen", signal.SIGKILL)
        until(lambda: wall.shows("the music goes on without a screen"))
        assert running.child("house") and not running.child("screen")
        assert termios.tcgetattr(wall.theirs) == wall.modes
        assert running.end()[0] == 130


def test_all_end_when_their_watcher_is_killed() -> None:
    with on_a_wall() as (running, wall):
        until(lambda: wall.shows("underruns 0"))
        running.process.kill()
        until(lambda: not running.child("screen") and not running.child("house"))
        until(lambda: termios.tcgetattr(wall.theirs) == wall.modes)


def test_a_house_that_cannot_begin_says_so_when_the_screen_is_gone(tmp_path: Path) -> None:
    pytest.importorskip("textual")
    wall = Wall()
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--screen"]
    done = subprocess.run(
        [*command, "--bundle", str(tmp_path)], stdin=wall.theirs, stdout=wall.theirs,
        stderr=wall.theirs, timeout=90,
    )  # fmt: skip
    assert done.returncode == 3
    until(lambda: wall.shows("manifest"))
    assert termios.tcgetattr(wall.theirs) == wall.modes
    os.close(wall.theirs)


def test_without_a_terminal_there_is_one_line() -> None:
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--screen"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, stdin=-3)
    assert done.returncode == 2 and "--screen needs a terminal" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
