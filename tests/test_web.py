"""The page, in a real browser: it plays, fits, comes back and asks for a token."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import playing_live

from bench.chromium import PROGRAM, Tab, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

SAMPLES = "Number(document.getElementById('figure-samples')?.textContent ?? 0)"
PACKETS = "Number(document.getElementById('figure-packets')?.textContent ?? 0)"
STATUS = "document.getElementById('status-text').textContent"
LEVEL = "Number(document.getElementById('meter').getAttribute('aria-valuenow'))"
INK = """(({ width, height }, context) => {
  const pixels = context.getImageData(0, 0, width, height).data;
  return pixels.filter((value, index) => index % 4 < 3 && value > 60).length;
})(NAME, NAME.getContext('2d'))"""


async def press(tab: Tab, selector: str) -> None:
    await tab.evaluate(f"document.querySelector('{selector}').click()")


async def test_the_page_plays(tmp_path: Path) -> None:
    async with playing_live() as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.querySelectorAll('#hand-buttons button').length === 4")
        assert await tab.evaluate("document.getElementById('hands').disabled")
        await press(tab, "#start")
        await tab.until(f"{SAMPLES} > 24000")
        packets, samples = await tab.evaluate(PACKETS), await tab.evaluate(SAMPLES)
        await tab.until(f"{PACKETS} > {packets} && {SAMPLES} > {samples}")
        assert await tab.evaluate(STATUS) == "live"
        assert await tab.evaluate(INK.replace("NAME", "ring")) > 1000
        assert await tab.evaluate(INK.replace("NAME", "spectrogram")) > 100
        await tab.until("ring.getAttribute('aria-label').startsWith('Chunk ')")
        assert (
            await tab.evaluate(
                "document.querySelectorAll('fieldset:not([hidden]) [type=range]').length"
            )
            == 3
        )

        await press(tab, "[data-hand=panic]")
        await tab.until(f"{LEVEL} <= -60")
        await tab.until("document.getElementById('answer').textContent.startsWith('panic: heard')")
        await press(tab, "[data-hand=panic]")
        await tab.until(f"{LEVEL} > -40")
        await press(tab, "#start")
        await tab.until(f"{STATUS} === 'silent'")
        assert not tab.errors


async def test_the_page_fits_screens_small_and_large(tmp_path: Path) -> None:
    async with playing_live() as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.querySelectorAll('#idea-sliders .slider').length === 3")
        for width, height in ((1280, 800), (390, 844), (320, 568)):
            await tab.resize(width, height, mobile=width < 500)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        await tab.resize(1280, 800)
        assert await tab.evaluate("document.documentElement.scrollHeight") <= 800
        heights = "[...document.querySelectorAll('main button')].map((b) => b.offsetHeight)"
        assert all(height >= 40 for height in await tab.evaluate(heights) if height)  # 0: hidden
        nameless = "[...document.querySelectorAll('input')].filter((i) => !i.labels.length).length"
        assert await tab.evaluate(nameless) == 0
        assert not tab.errors


async def test_the_page_comes_back_after_the_server(tmp_path: Path) -> None:
    async with playing_live() as server, browsing(tmp_path, server.url + "?codec=pcm_f32le") as tab:
        await tab.until("document.getElementById('bundle').textContent")
        await press(tab, "#start")
        await tab.until(f"{SAMPLES} > 2400")
        port = server.port
        await server.close()
        await tab.until(f"{STATUS}.startsWith('reconnecting') || {STATUS} === 'connecting'")
        played = await tab.evaluate(SAMPLES)
        async with playing_live(port=port):
            await tab.until(f"{STATUS} === 'live' && {SAMPLES} > {played} + 12000")


async def test_the_page_asks_for_a_token(tmp_path: Path) -> None:
    async with playing_live(token="right") as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.getElementById('bundle').textContent")
        await press(tab, "#start")
        await tab.until("!document.getElementById('token-form').hidden")
        await tab.evaluate("document.getElementById('token').value = 'right'")
        await press(tab, "#token-form button")
        await tab.until(f"{STATUS} === 'live' && {SAMPLES} > 2400")
        assert await tab.evaluate("document.getElementById('token-form').hidden")
