"""The page's half of `perpetuo bench control`: from a key to the loudspeaker, in a real Chromium.

The page is used as people use it: a tap on Start, then keys on two of its sliders, one after the
other. It says of each control itself when the first packet that carries it came, and when the first
such sample came out of the browser's sound output, buffer and output latency included (User Timing,
`engine/web/heard.js`); this listens to that. Without a Chromium that is said.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm
from websockets.exceptions import WebSocketException

from bench import chromium
from bench.latency_text import TAIL, tail_line
from bench.timing import Tail
from bench.turns import KINDS, turns
from engine.errors import PerpetuoError

HEARD_S = 10.0
"""The longest that one control is waited for."""

WARM_S = 6.0
"""Of music that the page has played before it is measured: its buffer has settled by then."""

MIDDLE = """(({ x, y, width, height }) => [x + width / 2, y + height / 2])(
  document.getElementById('start').getBoundingClientRect())"""
FIGURE = "Number.parseFloat(document.getElementById('figure-{}')?.textContent ?? 0)"
WATCH = """globalThis.heard = []; new PerformanceObserver((list) => {
  for (const { startTime, duration, detail } of list.getEntries())
    heard.push({ kind: detail.kind, sound_s: duration / 1e3,
                 packet_s: (detail.arrived - startTime) / 1e3 });
}).observe({ type: 'measure' })"""
SLIDERS = {"hand": "#hands", "idea": ":is(#asking, #ideas)"}
SLIDER = """[...document.querySelectorAll('PLACE input[type=range][id^=control-]')].find((one) =>
  one.id !== 'control-steps' && one.matches(':enabled') && one.checkVisibility())?.id ?? ''"""
"""The passes are left alone: they change what a chunk costs."""


@dataclass
class Heard:
    """What the page said: controls as they were heard, and its own figures meanwhile."""

    browser: str
    sliders: dict[str, str] = field(default_factory=dict)  # ids by kind
    unheard: int = 0
    underruns: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


def measure_page(port: int, seconds: float) -> dict[str, Any]:
    """Set controls on the page of a server on loopback for so long; plain values.

    `not_measured` says in one line why there is nothing else.
    """
    try:
        return _report(asyncio.run(_use(f"http://127.0.0.1:{port}/", seconds)))
    except (PerpetuoError, chromium.PageError, WebSocketException, OSError) as error:
        return {"not_measured": str(error).partition("\n")[0] or "Chromium does not answer"}


async def _use(url: str, seconds: float) -> Heard:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with chromium.browsing(Path(profile), url, guarded=True) as tab:
            heard = Heard((await tab.ask("Browser.getVersion"))["product"])
            await _begin(tab)
            before = await _figure(tab, "underruns")
            await _turn_often(tab, seconds, heard)
            heard.underruns = round(await _figure(tab, "underruns") - before)
            return heard


async def _begin(tab: chromium.Tab) -> None:
    """Start it as a person does, and wait until it is in its stride."""
    await tab.until("document.getElementById('bundle').textContent")
    await tab.tap(*await tab.evaluate(MIDDLE))
    await tab.until(f"{FIGURE.format('samples')} > 0")
    await asyncio.sleep(WARM_S)
    await tab.evaluate(WATCH)


async def _turn_often(tab: chromium.Tab, seconds: float, heard: Heard) -> None:
    """A key on a slider, until it is heard, and a pause; for so long."""
    heard.sliders = {kind: await _slider(tab, kind) for kind in KINDS}
    end_s, asked = time.monotonic() + seconds, 0
    with tqdm(total=round(seconds), unit="s", disable=None, leave=False) as bar:
        for kind, pause_s in turns():
            began_s = time.monotonic()
            if began_s >= end_s:
                return
            asked += 1
            await tab.evaluate(f"document.getElementById('{heard.sliders[kind]}').focus()")
            await tab.key("ArrowLeft" if asked % 2 else "ArrowRight")
            await _hear(tab, heard)
            await asyncio.sleep(pause_s)
            bar.update(time.monotonic() - began_s)


async def _slider(tab: chromium.Tab, kind: str) -> str:
    """The id of the first slider of that kind that may be moved."""
    found = await tab.evaluate(SLIDER.replace("PLACE", SLIDERS[kind]))
    if not found:
        raise chromium.PageError(f"the page has no slider for {kind}s that may be moved")
    return str(found)


async def _hear(tab: chromium.Tab, heard: Heard) -> None:
    """Wait for what the page says of the control that was just set."""
    try:
        await tab.until("heard.length", HEARD_S)
    except TimeoutError:
        heard.unheard += 1
        return
    heard.changes += await tab.evaluate("heard.splice(0)")
    heard.latencies_ms.append(await _figure(tab, "latency"))


async def _figure(tab: chromium.Tab, name: str) -> float:
    return float(await tab.evaluate(FIGURE.format(name)))


def _report(heard: Heard) -> dict[str, Any]:
    return {
        "browser": heard.browser,
        "unheard": heard.unheard,
        "underruns": heard.underruns,
        "latency_s": median(heard.latencies_ms) / 1e3 if heard.latencies_ms else None,
        "control": {kind: _figures(heard, kind) for kind in KINDS},
    }


def _figures(heard: Heard, kind: str) -> dict[str, Any]:
    found = [one for one in heard.changes if one["kind"] == kind]
    return {
        "name": heard.sliders[kind].removeprefix("control-"),
        "to_packet_s": Tail.of([one["packet_s"] for one in found]),
        "to_sound_s": Tail.of([one["sound_s"] for one in found]),
    }


def render(page: Mapping[str, Any]) -> Iterator[str]:
    """The lines that a person reads; `page` in plain values."""
    yield ""
    if "not_measured" in page:
        yield f"the page was not measured: {page['not_measured']}"
        return
    yield f"{'the page, s':<20}" + "".join(f"{name:>10}" for name in TAIL) + f"{'of':>8}"
    for kind, found in page["control"].items():
        for name in ("packet", "sound"):
            tail = found[f"to_{name}_s"]
            yield tail_line(f"{kind} to {name}", tail) + f"{tail['count']:>8}"
    names = " and ".join(found["name"] for found in page["control"].values())
    yield f"{page['browser']} on this machine, arrow keys on {names}; {page['unheard']} unheard"
    yield (
        f"buffer and sound output of the page: {1e3 * (page['latency_s'] or 0.0):.0f} ms (median), "
        f"{page['underruns']} underruns"
    )
