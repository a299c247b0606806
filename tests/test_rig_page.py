"""The rig and the feed of one `perpetuo serve` know of each other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serving import listening, say, text

from engine.rig.states import load_state
from tests.rigging import Remote

ROOT = Path(__file__).parent.parent


@pytest.fixture
def served(tmp_path: Path) -> Any:
    """(feed, OSC port) of a server whose states are in `tmp_path`."""
    command = [
        sys.executable, "-m", "engine", "serve", "--backend", "standin", "--port", "0",
        "--osc", "0", "--states", str(tmp_path), "--prompt", "slow jazz",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        try:
            osc = int(process.stderr.readline().rpartition(":")[2])
            url = process.stdout.readline().split()[3]
            yield url.replace("http", "ws") + "feed", osc
        finally:
            process.terminate()


async def test_prompts_and_states_by_osc_and_by_the_page(served: Any, tmp_path: Path) -> None:
    feed, port = served
    remote = Remote(port)
    async with listening(feed) as page:
        assert page.hello["states"] is True
        start = await text(page, "start")
        assert start["prompts"] == [{"text": "slow jazz", "weight": 1.0}]
        remote.say("/prompt", "dark ambient", 2.0, "pads")
        told = await text(page, "prompts")
        assert told["prompts"] == [
            {"text": "dark ambient", "weight": 2.0}, {"text": "pads", "weight": 1.0},
        ]  # fmt: skip
        await say(page, type="save", id=1, state="verse")
        ack = await text(page, "ack", "error")
        assert (ack["name"], ack["state"], ack["id"]) == ("save", "verse", 1)
        assert load_state(tmp_path / "verse.state.npz").words == (
            ("dark ambient", 2.0), ("pads", 1.0),
        )  # fmt: skip
        await say(page, type="prompts", id=2, prompts=[{"text": "fast drums"}])
        ack = await text(page, "ack", "error")
        assert ack["name"] == "prompts"
        await asyncio.to_thread(remote.say, "/subscribe", remote.port)
        await asyncio.to_thread(remote.say, "/save/chorus")
        while "chorus" not in (await asyncio.to_thread(remote.hear, "/note"))[0]:
            pass
        assert load_state(tmp_path / "chorus.state.npz").words == (("fast drums", 1.0),)
        await text(page, "prompts")  # its own
        await say(page, type="restore", id=3, state="verse")
        ack = await text(page, "ack", "error")
        assert (ack["name"], ack["state"]) == ("restore", "verse")
        assert (await text(page, "prompts"))["prompts"] == told["prompts"]
        await say(page, type="restore", id=4, state="bridge")
        error = await text(page, "error")
        assert (error["code"], error["id"]) == ("bad_state", 4)
    remote.close()
