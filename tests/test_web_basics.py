"""What anybody expects of a page: light, alone, readable, usable by keyboard, and with sound only
after a gesture where the browser asks for one. In a real browser."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from serving import playing_live
from test_web import LEVEL, SAMPLES, STATUS, press

from bench.chromium import PROGRAM, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

MOST_BYTES = 300_000
LEAST_CONTRAST = 4.5
LOADED = """JSON.stringify(performance.getEntries().filter(({ name }) => name.startsWith('http'))
  .map(({ name, transferSize }) => [name, transferSize]))"""
PALE = """(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour.slice(0, 3);
    }
    return [13, 15, 19];
  };
  const pale = [];
  for (const node of document.body.querySelectorAll('*')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.offsetHeight || getComputedStyle(node).clipPath !== 'none') continue;
    const [a, b] = [parts(getComputedStyle(node).color).slice(0, 3), behind(node)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < LEAST) pale.push(`${node.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return pale;
})()""".replace("LEAST", str(LEAST_CONTRAST))
FOCUS = """(({ id, tagName, labels, textContent, ariaLabel }) =>
  ({ id, tag: tagName, name: ariaLabel || labels?.[0]?.textContent || textContent,
     top: document.activeElement.getBoundingClientRect().top + scrollY,
     ring: getComputedStyle(document.activeElement).outlineStyle }))(document.activeElement)"""
LOCKED = "!document.getElementById('locked').hidden"


async def test_it_is_light_and_asks_no_other_host(tmp_path: Path) -> None:
    async with playing_live(prompting=True) as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.getElementById('bundle').textContent")
        await press(tab, "#start")
        await tab.until(f"{SAMPLES} > 2400")
        loaded = dict(json.loads(await tab.evaluate(LOADED)))
        origin = server.url
    print(f"the page: {sum(loaded.values()):,} bytes in {len(loaded)} files")
    assert len(loaded) > 8
    assert all(name.startswith(origin) for name in loaded)
    assert 20_000 < sum(loaded.values()) < MOST_BYTES


async def test_it_is_titled_readable_and_fits_a_phone(tmp_path: Path) -> None:
    async with playing_live(prompting=True) as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.querySelectorAll('#instruments button').length > 3")
        await press(tab, "#start")
        await tab.until(f"{SAMPLES} > 2400")
        assert await tab.evaluate("document.documentElement.lang") == "en"
        assert await tab.evaluate("document.title") == "perpetuo"
        for width, height in ((1280, 800), (390, 844)):
            await tab.resize(width, height, mobile=width < 500)
            assert await tab.evaluate(PALE) == []
        viewport = "document.querySelector('meta[name=viewport]').content"
        assert "width=device-width" in await tab.evaluate(viewport)
        assert "user-scalable" not in await tab.evaluate(viewport)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 390


async def test_the_keyboard_reaches_everything_in_the_order_of_the_page(tmp_path: Path) -> None:
    async with playing_live(prompting=True) as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.querySelectorAll('#instruments button').length > 3")
        await press(tab, "#start")
        await tab.until(f"{SAMPLES} > 2400")
        await tab.resize(390, 844)
        await tab.evaluate("document.activeElement.blur()")
        wanted = await tab.evaluate(
            "[...document.querySelectorAll('button, input, select, summary')]"
            ".filter((one) => one.checkVisibility({ visibilityProperty: true })).length"
        )
        met = []
        for _ in range(wanted):
            await tab.key("Tab")
            met.append(await tab.evaluate(FOCUS))
    assert met[0]["id"] == "start"
    assert all(one["tag"] != "BODY" and one["name"].strip() for one in met)
    assert all(one["ring"] != "none" for one in met)
    places = [one["top"] for one in met]
    backwards = sum(after < before - 60 for before, after in itertools.pairwise(places))
    assert backwards == 0


async def test_sound_waits_for_a_gesture_and_begins_with_it(tmp_path: Path) -> None:
    async with (
        playing_live() as server,
        browsing(tmp_path, server.url, guarded=True) as tab,
    ):
        await tab.until("document.getElementById('bundle').textContent")
        await press(tab, "#start")  # by a script: no gesture
        await tab.until(LOCKED)
        await tab.until(f"{STATUS} === 'live'")
        assert await tab.evaluate(SAMPLES) == 0
        await tab.tap(5, 5)
        await tab.until(f"!({LOCKED}) && {SAMPLES} > 24000 && {LEVEL} > -40")
        assert all("not allowed to start" in error for error in tab.errors)  # the browser's own


async def test_a_click_on_start_is_gesture_enough(tmp_path: Path) -> None:
    async with (
        playing_live() as server,
        browsing(tmp_path, server.url, guarded=True) as tab,
    ):
        await tab.until("document.getElementById('bundle').textContent")
        middle = "(({ x, y, width, height }) => [x + width / 2, y + height / 2])"
        place = f"{middle}(document.getElementById('start').getBoundingClientRect())"
        await tab.tap(*await tab.evaluate(place))
        await tab.until(f"{SAMPLES} > 24000")
        assert not await tab.evaluate(LOCKED)


async def test_a_kiosk_starts_by_itself_and_shows_no_controls(tmp_path: Path) -> None:
    async with (
        playing_live(prompting=True) as server,
        browsing(tmp_path, server.url + "?kiosk") as tab,
    ):
        await tab.until(f"{STATUS} === 'live' && {SAMPLES} > 24000")
        for width, height in ((1280, 800), (1080, 1920), (390, 844)):
            await tab.resize(width, height)
            shown = "[...document.querySelectorAll('button, input, select')].filter((one) => "
            assert await tab.evaluate(f"{shown}one.checkVisibility()).length") == 0
            ring = "document.getElementById('ring').getBoundingClientRect()"
            assert await tab.evaluate(f"{ring}.width") > 0.5 * min(width, height)
            assert await tab.evaluate("document.documentElement.scrollHeight") <= height
        assert not tab.errors


async def test_a_kiosk_in_a_guarded_browser_asks_for_a_touch(tmp_path: Path) -> None:
    async with (
        playing_live() as server,
        browsing(tmp_path, server.url + "?kiosk", guarded=True) as tab,
    ):
        await tab.until(LOCKED)
        await tab.key("a")
        await tab.until(f"{SAMPLES} > 24000")
