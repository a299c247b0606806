"""Prompts and musical controls on the page, in a real browser, with the stand-in behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from serving import listening, playing_live, say, text

from bench.chromium import PROGRAM, Tab, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

STATUS = "document.getElementById('status-text').textContent"
ANSWER = "document.getElementById('answer').textContent"
ROWS = """JSON.stringify([...document.querySelectorAll('.prompt')].map((row) => [
  row.querySelector('[type=text]').value, Number(row.querySelector('[type=range]').value)]))"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[tuple[Tab, Any]]:
    """The page, playing, and another listener of the same feed."""
    async with (
        playing_live(prompting=True) as server,
        browsing(tmp_path, server.url) as tab,
        listening(f"ws://127.0.0.1:{server.port}/feed") as other,
    ):
        await tab.until("document.querySelectorAll('.toggle').length === 12")
        await tab.evaluate("document.getElementById('start').click()")
        await tab.until(f"{STATUS} === 'live'")
        await text(other, "start")
        yield tab, other
        assert not tab.errors


async def write(tab: Tab, field: str, words: str) -> None:
    """Go to a field and type, in the place of what is there."""
    await tab.evaluate(f"document.getElementById('{field}').focus()")
    await tab.evaluate("document.activeElement.select()")
    await tab.ask("Input.insertText", text=words)


async def value_of(other: Any, name: str, wanted: object) -> None:
    """Wait until the other listener is told a value."""
    async with asyncio.timeout(30):
        while (await text(other, "state"))["controls"][name] != wanted:
            pass


async def test_prompts_are_typed_weighed_and_removed(stage: tuple[Tab, Any]) -> None:
    tab, other = stage
    await write(tab, "prompt-1", "slow ambient pads")
    await tab.key("Enter")
    assert (await text(other, "prompts"))["prompts"] == [{"text": "slow ambient pads", "weight": 1}]
    await tab.until(f"{ANSWER}.startsWith('prompts: heard after')")

    await tab.evaluate("document.getElementById('add-prompt').click()")
    assert await tab.evaluate("document.activeElement.id") == "prompt-2"
    await write(tab, "prompt-2", "a jazz bass")
    await tab.evaluate("document.activeElement.blur()")
    assert len((await text(other, "prompts"))["prompts"]) == 2
    await tab.evaluate("document.getElementById('weight-2').focus()")
    await tab.key("ArrowLeft")
    told = await text(other, "prompts")
    assert told["prompts"][1] == {"text": "a jazz bass", "weight": 0.95}

    await tab.evaluate("document.querySelector('[aria-label=\"Remove prompt 1\"]').click()")
    assert (await text(other, "prompts"))["prompts"] == [{"text": "a jazz bass", "weight": 0.95}]


SHOWN = '[["dark strings",2],["flute",0.5]]'


async def test_what_others_ask_for_is_shown_but_not_under_ones_hands(
    stage: tuple[Tab, Any],
) -> None:
    tab, other = stage
    wanted = [{"text": "dark strings", "weight": 2}, {"text": "flute", "weight": 0.5}]
    await say(other, type="prompts", prompts=wanted)
    assert (await text(other, "prompts"))["prompts"] == wanted
    await tab.until(f"{ROWS} === '{SHOWN}'")
    await write(tab, "prompt-2", "flute and drums")
    await say(other, type="prompts", prompts=[{"text": "guitar"}])
    assert len((await text(other, "prompts"))["prompts"]) == 1
    await asyncio.sleep(1.5)
    assert await tab.evaluate("document.getElementById('prompt-2').value") == "flute and drums"
    await tab.key("Enter")
    async with asyncio.timeout(30):
        while len((told := await text(other, "prompts"))["prompts"]) != 2:
            pass
    assert told["prompts"][1]["text"] == "flute and drums"

    for name, value in (("bpm", 92), ("tonic", "A"), ("strings", True), ("drums", False)):
        await say(other, type="set", name=name, value=value)
    await tab.until("document.querySelector('.dial .pill').textContent === '92 bpm'")
    await tab.until("document.getElementById('control-tonic').value === '9'")
    await tab.until("document.querySelector('[aria-label=\"Strings: on\"]') !== null")
    await tab.until("document.querySelector('[aria-label=\"Drums: off\"]') !== null")


async def test_controls_are_set_and_set_free(stage: tuple[Tab, Any]) -> None:
    tab, other = stage
    await tab.evaluate("document.getElementById('control-bpm').focus()")
    await tab.key("ArrowRight")
    await value_of(other, "bpm", 121.0)
    await tab.evaluate("document.querySelector('.dial .pill').click()")
    await value_of(other, "bpm", None)
    assert await tab.evaluate("document.querySelector('.dial .pill').textContent") == "free"

    for value in (1.0, 0.0, None):  # on, off, free
        await tab.evaluate("document.querySelector('.toggle').click()")
        await value_of(other, "drums", value)

    choose = "(box) => { box.value = VALUE; box.dispatchEvent(new Event('change')); }"
    for value in (10, None):
        script = choose.replace("VALUE", "''" if value is None else str(value))
        await tab.evaluate(f"({script})(document.getElementById('control-tonic'))")
        await value_of(other, "tonic", value)


async def test_refused_words_are_told_and_stay_to_be_mended(stage: tuple[Tab, Any]) -> None:
    tab, _ = stage
    await write(tab, "prompt-1", "qwertz")
    await tab.key("Enter")
    await tab.until(f"{ANSWER}.includes('known')")
    assert await tab.evaluate("document.getElementById('answer').dataset.mood") == "bad"
    await asyncio.sleep(1.2)
    assert await tab.evaluate("document.getElementById('prompt-1').value") == "qwertz"


async def test_letters_typed_into_a_prompt_are_no_hands(stage: tuple[Tab, Any]) -> None:
    tab, other = stage
    await tab.evaluate("document.getElementById('prompt-1').focus()")
    for key in "hmpf":
        await tab.key(key)
    state = await text(other, "state")
    assert not any(state["controls"][name] for name in ("hold", "mute", "panic", "fade"))


async def test_the_page_with_prompts_fits_screens_small_and_large(stage: tuple[Tab, Any]) -> None:
    tab, _ = stage
    for width, height in ((1280, 800), (1000, 760), (390, 844), (320, 568)):
        await tab.resize(width, height, mobile=width < 500)
        await tab.until(f"innerWidth === {width}")
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        spilt = """[...document.querySelectorAll('main button, main label, dl')].filter((part) =>
          part.scrollWidth > part.clientWidth + 1 && !part.className.includes('unseen')
          && part.clientWidth).map((part) => part.outerHTML)"""
        await tab.until(f"{spilt}.length === 0")  # figures come and go; they may not stay too wide
        hands = "Math.min(...[...document.querySelectorAll('.hands button')].map(H))"
        assert await tab.evaluate(hands.replace("H", "(b) => b.offsetHeight")) >= 56
    await tab.resize(1280, 800)
    assert await tab.evaluate("document.documentElement.scrollHeight") <= 800


async def test_everything_has_a_name_and_can_be_reached(stage: tuple[Tab, Any]) -> None:
    tab, _ = stage
    await tab.evaluate("document.getElementById('more').open = true")
    nameless = "[...document.querySelectorAll('input, select')].filter((i) => !i.labels.length)"
    assert await tab.evaluate(f"{nameless}.map((i) => i.outerHTML)") == []
    silent = "[...document.querySelectorAll('button')].filter((b) => !b.textContent.trim())"
    assert await tab.evaluate(f"{silent}.length") == 0
    more = "[...document.querySelectorAll('#more-sliders label')].map((l) => l.textContent)"
    expected = ["Seed", "Passes", "Temperature", "Guidance", "Surprise", "Top-k"]
    assert await tab.evaluate(more) == expected
    await tab.evaluate("document.getElementById('start').focus()")
    reached = set()
    for _ in range(60):
        await tab.key("Tab")
        reached.add(await tab.evaluate("document.activeElement.id || document.activeElement.title"))
    assert reached >= {"prompt-1", "control-tonic", "control-scale", "control-bpm", "control-top_k"}


async def test_without_prompting_there_is_nothing_of_it(tmp_path: Path) -> None:
    async with playing_live() as server, browsing(tmp_path, server.url) as tab:
        await tab.until("document.querySelectorAll('#idea-sliders .slider').length === 3")
        assert await tab.evaluate("document.getElementById('asking').offsetHeight") == 0
        assert await tab.evaluate("document.getElementById('more').offsetHeight") == 0
        assert await tab.evaluate("document.querySelectorAll('.toggle, select').length") == 0
        assert not tab.errors
