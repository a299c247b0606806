"""bench.page_control: the real page in a real browser, the stand-in behind it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from serving import playing_live

from bench import chromium
from bench.page_control import measure_page, render
from bench.report import plain

needed = pytest.mark.skipif(chromium.PROGRAM is None, reason="needs: apt install chromium")


@needed
async def test_ideas_and_hands_of_the_page_are_heard() -> None:
    async with playing_live(prompting=True) as server:
        page = plain(await asyncio.to_thread(measure_page, server.port, 4.0))
    for kind, name in (("idea", "bpm"), ("hand", "gain_db")):
        found = page["control"][kind]
        assert found["name"] == name
        assert found["to_packet_s"]["count"] == found["to_sound_s"]["count"] >= 1
        assert 0.0 < found["to_packet_s"]["p50"] < found["to_sound_s"]["p50"]
        assert found["to_packet_s"]["max"] < found["to_sound_s"]["max"]
    assert page["latency_s"] > 0.02
    assert page["unheard"] == 0
    text = "\n".join(render(page))
    for words in ("idea to packet", "hand to sound", "bpm and gain_db", "0 unheard"):
        assert words in text


@needed
def test_a_page_that_does_not_open_is_named() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        why = measure_page(port, 1.0)["not_measured"]
    assert why == f"http://127.0.0.1:{port}/: net::ERR_CONNECTION_REFUSED"


def test_without_a_browser_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "PROGRAM", None)
    lines = list(render(measure_page(1, 1.0)))
    assert lines == ["", "the page was not measured: there is no Chromium: apt install chromium"]
