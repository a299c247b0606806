"""The player and the reconnecting of the page, by themselves, in a real browser."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import playing_live

from bench.chromium import PROGRAM, Tab, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")

PLAYER = """
const told = [];
globalThis.AudioWorkletProcessor = class {
  constructor() { this.port = { postMessage: (message) => told.push(message) }; }
};
globalThis.sampleRate = RATE;
globalThis.currentTime = 0;
let Player;
globalThis.registerProcessor = (_, made) => { Player = made; };
await import(`/worklet.js?${Math.random()}`);
const player = new Player({ processorOptions: { rate: 24000, channels: 1 } });
const tone = (at) => Math.sin((2 * Math.PI * 440 * at) / 24000);
const push = (position, { epoch = 1, replay = false, marks = [] } = {}) => player.push({
  epoch, position, frames: 2400, replay, marks,
  samples: Float32Array.from({ length: 2400 }, (_, at) => tone(position + at)) });
const heard = [];
const play = (frames) => {
  const piece = new Float32Array(frames);
  player.process([], [[piece]]);
  heard.push(...piece);
  currentTime += frames / sampleRate;
};
const steepest = (from = 1) => {
  let most = 0;
  for (let at = from; at < heard.length; at++)
    most = Math.max(most, Math.abs(heard[at] - heard[at - 1]));
  return most;
};
"""
STEP = 0.116
"""The steepest step of the tone; a fade adds little to it, a click is ten times as much."""


async def play_alone(tab: Tab, script: str, rate_hz: int = 24000) -> dict[str, float]:
    """Run a script with the player and its tools; it returns an object."""
    source = PLAYER.replace("RATE", str(rate_hz)) + script
    told = await tab.evaluate(f"(async () => {{ {source} }})().then(JSON.stringify)")
    return dict(json.loads(told))


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with playing_live() as server, browsing(tmp_path, server.url) as tab:
        yield tab


async def test_the_player_plays_on_time_or_late_but_never_clicks(tab: Tab) -> None:
    even = await play_alone(
        tab,
        """
        for (let n = 0; n < 50; n++) {
          push(2400 * n);
          if (n > 0) for (let k = 0; k < 20; k++) play(120);
        }
        return { underruns: player.stats.underruns, steepest: steepest() };
        """,
    )
    assert even["underruns"] == 0
    assert even["steepest"] < STEP

    stalled = await play_alone(
        tab,
        """
        for (let n = 0; n < 4; n++) push(2400 * n);
        for (let k = 0; k < 200; k++) play(120);
        const silent = heard.slice(-1000).every((value) => Math.abs(value) < 1e-3);
        for (let n = 4; n < 8; n++) push(2400 * n);
        for (let k = 0; k < 40; k++) play(120);
        return { silent, underruns: player.stats.underruns, target: player.target,
                 steepest: steepest(), back: Math.max(...heard.slice(-2000)) };
        """,
    )
    assert stalled["silent"]
    assert stalled["underruns"] == 1
    assert abs(stalled["target"] - 0.085 * 24000) < 1
    assert stalled["steepest"] < 1.3 * STEP
    assert stalled["back"] > 0.9


async def test_gaps_repeats_and_new_epochs_are_joined(tab: Tab) -> None:
    told = await play_alone(
        tab,
        """
        const places = [[0], [2400], [2400], [4801, 2], [5000, 2], [0, 2], [20000], [22400]];
        for (const [position, epoch] of places) push(position, { epoch: epoch ?? 1 });
        const fill = player.fill;
        for (let k = 0; k < 100; k++) play(120);
        return { fill, steepest: steepest(), expected: player.expected };
        """,
    )
    assert told["fill"] < 7 * 2400
    assert told["expected"] == 24800
    assert told["steepest"] < 1.3 * STEP


async def test_what_is_too_much_is_dropped_and_a_drifting_clock_followed(tab: Tab) -> None:
    told = await play_alone(
        tab,
        """
        for (let n = 0; n < 10; n++) push(2400 * n, { replay: true });
        const first = player.fill;
        let next = 24000, due = 0, most = 0;
        const trims = [];
        for (let second = 0; second < 120; second++) {
          for (let k = 0; k < 200; k++) {
            due += 120 * 1.0005;
            if (due >= 2400) { due -= 2400; push(next); next += 2400; }
            play(120);
          }
          heard.length = Math.min(heard.length, 24000);
          trims.push(player.trim);
          if (second > 60) most = Math.max(most, player.fill);
        }
        return { first, most, trim: trims.at(-1), limit: Math.max(...trims.map(Math.abs)),
                 underruns: player.stats.underruns };
        """,
    )
    assert told["first"] <= 0.18 * 24000 + 1
    assert told["underruns"] == 0
    assert told["limit"] <= 0.001
    assert 0.0003 < told["trim"] < 0.0007
    assert told["most"] < 0.3 * 24000


async def test_a_start_that_leaves_too_much_is_settled_at_once_and_an_underrun_is_not(
    tab: Tab,
) -> None:
    found = await play_alone(
        tab,
        """
        let next = 0;
        const more = (count) => { for (let n = 0; n < count; n++, next += 2400) push(next); };
        const rest = (pieces) => { for (let k = 0; k < pieces; k++) play(120); };
        const second = () => { for (let n = 0; n < 10; n++) { more(1); rest(20); } };
        more(4);
        const begun = player.fill;
        second();
        second();
        const settled = player.fill;
        rest(100);
        more(3);
        second();
        second();
        return { begun, settled, kept: player.fill, underruns: player.stats.underruns,
                 steepest: steepest() };
        """,
    )
    aim = 0.08 * 24000
    assert found["begun"] > aim + 4800
    assert aim - 600 < found["settled"] < aim + 0.02 * 24000 + 600
    assert found["underruns"] == 1
    assert found["kept"] > aim + 2400  # less than a quarter of a second: trimmed, not dropped
    assert found["steepest"] < 1.3 * STEP


async def test_marks_are_told_when_the_first_sample_behind_them_is_played(tab: Tab) -> None:
    found = await play_alone(
        tab,
        """
        push(0);
        push(2400, { marks: [{ id: 2, offset: 1000 }, { id: 1, offset: 7 }] });
        push(4000, { marks: [{ id: 3, offset: 100 }, { id: 4, offset: 2390 }] });
        const skipped = player.at;
        for (let k = 0; k < 100; k++) play(120);
        push(6400, { marks: [{ id: 5, offset: 0 }] });
        push(8800);
        push(11200);
        for (let k = 0; k < 40; k++) play(120);
        const marks = told.filter((one) => "mark" in one);
        return { skipped, ids: marks.map(({ mark }) => mark),
                 at: marks.map(({ time }) => Math.round(time * 24000)) };
        """,
    )
    skipped = found["skipped"]
    assert skipped == 480  # what is more than the aim when it starts
    assert found["ids"] == [1, 2, 3, 4, 5]
    # The third packet overlaps the second by 800 samples: a mark in there is due where it begins.
    assert found["at"][:4] == [at - skipped for at in (2407, 3400, 4800, 6390)]
    assert found["at"][4] >= 12000  # after the silence


async def test_another_rate_of_the_sound_card_keeps_the_pitch(tab: Tab) -> None:
    told = await play_alone(
        tab,
        """
        for (let n = 0; n < 20; n++) push(2400 * n);
        for (let k = 0; k < 50; k++) play(128);
        let crossings = 0;
        for (let at = 1000; at < heard.length; at++) crossings += heard[at] * heard[at - 1] < 0;
        return { hertz: (crossings / 2) * (48000 / (heard.length - 1000)) };
        """,
        rate_hz=48000,
    )
    assert abs(told["hertz"] - 440) < 10


async def test_attempts_to_reconnect_are_spread_and_bounded(tab: Tab) -> None:
    told = json.loads(
        await tab.evaluate(
            """import('/feed.js').then(({ retryDelay }) => JSON.stringify({
              first: retryDelay(0, () => 1), most: retryDelay(50, () => 1),
              least: retryDelay(50, () => 0), middle: retryDelay(3, () => 0.5) }))"""
        )
    )
    assert told == {"first": 500, "most": 30000, "least": 0, "middle": 2000}
