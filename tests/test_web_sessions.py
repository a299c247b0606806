"""The page in a session of its own, in a real browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from conducting import hall

from bench.chromium import PROGRAM, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

START = "document.getElementById('start').click(), true"
LIVE = "document.body.textContent.includes('live')"


async def test_the_page_conducts_and_comes_back_to_its_session(tmp_path: Path) -> None:
    async with hall(places=1) as house, browsing(tmp_path, f"{house.server.url}?session") as tab:
        await tab.evaluate(START)
        await tab.until(LIVE)
        async with asyncio.timeout(60):
            while not (here := house.sessions.performances):
                await asyncio.sleep(0.05)
            while not here[0].broadcast.connections:
                await asyncio.sleep(0.05)
            for listener in here[0].broadcast._audience:
                listener.connection.transport.abort()
            while here[0].broadcast.connections:
                await asyncio.sleep(0.01)
            while not here[0].broadcast.connections:
                await asyncio.sleep(0.05)
        assert len(house.opened) == 1
        assert tab.errors == []


async def test_the_address_of_the_page_says_which_stream(tmp_path: Path) -> None:
    async with hall() as house, browsing(tmp_path, house.server.url) as tab:
        for search, path in (
            ("", "feed"),
            ("?session", "session"),
            ("?session=a_b", "session/a_b"),
        ):
            asked = f"import('/feed.js').then(({{ feedPath }}) => feedPath('{search}'))"
            assert await tab.evaluate(asked) == path
