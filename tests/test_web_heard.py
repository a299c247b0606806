"""From a control to its sound on the page: what is waited for, how often is asked, what is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from serving import playing_live
from test_web import SAMPLES

from bench.chromium import PROGRAM, Tab, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

HEARD = """
const { Heard } = await import('/heard.js');
const told = [];
const heard = new Heard((change) => told.push(change));
const expect = (name, kind, revision, heard_at) =>
  heard.expect({ name, kind, asked: 10, revision, heard_at });
const arrive = (number, ideaRevision, handRevision = 0) => heard.arrive(
  { position: 2400 * number, frames: 2400, ideaRevision, handRevision }, 100 * number);
"""
PACE = """
const { Pace } = await import('/pace.js');
const sent = [];
const pace = new Pace(50, (value, asked) => sent.push([value, asked, performance.now()]));
const rest = (ms) => new Promise((done) => setTimeout(done, ms));
"""
ANSWER = "document.getElementById('answer').textContent"
MEASURES = """JSON.stringify(performance.getEntriesByType('measure').map(
  ({ name: label, startTime, duration, detail }) => ({ label, startTime, duration, ...detail })))"""


async def run(tab: Tab, tools: str, script: str) -> Any:
    return json.loads(
        await tab.evaluate(f"(async () => {{ {tools} {script} }})().then(JSON.stringify)")
    )


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with playing_live() as server, browsing(tmp_path, server.url) as tab:
        yield tab


async def test_an_idea_is_heard_where_its_promise_and_its_packet_agree(tab: Tab) -> None:
    found = await run(
        tab,
        HEARD,
        """
        expect('bpm', 'idea', 5, 7000);
        const marks = [arrive(1, 4, 9), arrive(2, 5), arrive(3, 6)];
        heard.sound(marks[1][0].id, 321);
        return { marks, told };
        """,
    )
    assert found["marks"] == [[], [{"id": 1, "offset": 2200}], []]
    assert found["told"] == [
        {"name": "bpm", "kind": "idea", "revision": 5, "asked": 10, "arrived": 200, "sounded": 321}
    ]


async def test_what_comes_later_than_promised_or_sooner_is_not_heard_too_soon(tab: Tab) -> None:
    found = await run(
        tab,
        HEARD,
        """
        expect('bpm', 'idea', 5, 100);
        const late = [arrive(1, 4), arrive(2, 5)];
        expect('hold', 'hand', 3, 9700);
        const soon = [arrive(3, 5, 3), arrive(4, 5, 3)];
        heard.sound(soon[1][0].id, 900);
        return { late, soon, told };
        """,
    )
    assert found["late"] == [[], [{"id": 1, "offset": 0}]]
    assert found["soon"] == [[], [{"id": 2, "offset": 100}]]
    assert (found["told"][0]["arrived"], found["told"][0]["sounded"]) == (300, 900)


async def test_a_control_that_is_moved_on_is_waited_for_anew(tab: Tab) -> None:
    found = await run(
        tab,
        HEARD,
        """
        expect('gain_db', 'hand', 1, 0);
        const first = arrive(0, 0, 1);
        expect('gain_db', 'hand', 2, 2400);
        heard.sound(first[0].id, 50);
        const before = told.length;
        heard.sound(arrive(1, 0, 2)[0].id, 150);
        expect('mute', 'hand', 3, 0);
        heard.forget();
        return { before, told, forgotten: arrive(2, 0, 3) };
        """,
    )
    assert found["before"] == 0
    assert [one["revision"] for one in found["told"]] == [2]
    assert found["forgotten"] == []


async def test_the_first_value_is_sent_at_once_and_then_the_newest(tab: Tab) -> None:
    found = await run(
        tab,
        PACE,
        """
        const began = performance.now();
        for (const value of [1, 2, 3]) pace.want(value);
        const first = sent.length;
        await rest(200);
        const later = sent.length;
        pace.want(4);
        pace.want(5);
        pace.stop();
        await rest(100);
        return { first, later, values: sent.map(([value]) => value), began, sent };
        """,
    )
    assert (found["first"], found["later"]) == (1, 2)
    assert found["values"] == [1, 3, 4]
    _, asked, at = found["sent"][1]
    assert found["began"] <= asked < at  # told when it was wanted, not when it was sent


async def test_a_key_is_told_when_it_has_sounded(tab: Tab) -> None:
    await tab.until("document.getElementById('bundle').textContent")
    await tab.evaluate("document.getElementById('start').click()")
    await tab.until(f"{SAMPLES} > 24000")
    for control, kind, name in (
        ("control-gain_db", "hand", "gain_db"),
        ("control-temperature", "idea", "temperature"),
    ):
        await tab.evaluate(f"document.getElementById('{control}').focus()")
        await tab.key("ArrowLeft")
        await tab.until(f"{ANSWER}.startsWith('{name}: heard after')")
        found = json.loads(await tab.evaluate(MEASURES))[-1]
        assert (found["label"], found["name"]) == (f"{kind} to sound", name)
        assert found["revision"] >= 1
        # The buffer of the page and the sound output lie between packet and sound.
        assert found["startTime"] < found["arrived"] < found["startTime"] + found["duration"] - 20
    assert not tab.errors
