"""A house of one process, with a rig or with sessions, that dies or stands still."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from tests.serving import get, listening, metrics, packets, say, text
from tests.watching import Served, served

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def back(running: Served, epoch: int) -> Any:
    """The hello of the process that follows, once it plays."""
    async with asyncio.timeout(90):
        while True:
            try:
                async with listening(running.feed) as connection:
                    if connection.hello["epoch"] != epoch:
                        await packets(connection, 3)
                        return connection.hello
            except (OSError, WebSocketException):
                await asyncio.sleep(0.05)


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
        hello = await back(running, epoch)
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
    import subprocess

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
