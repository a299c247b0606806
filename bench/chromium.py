"""A headless Chromium, driven over its DevTools protocol: for what is measured of the page, and for
its tests.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from engine.errors import UsageError

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
CURE = "apt install chromium"
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
)  # fmt: skip
POLICY = "--autoplay-policy={}"
FREE, GUARDED = "no-user-gesture-required", "document-user-activation-required"
ANSWER_S = 60.0
OPEN = "location.href !== 'about:blank'"
CODES = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}
"""Keys that do something by their code; a letter's is its own."""


class PageError(Exception):
    """A page that did not open, or a script of ours that it did not take."""


class Tab:
    """One page: evaluate in it, and see what went wrong in it."""

    def __init__(self, link: ClientConnection, gestures: bool = True) -> None:
        """With `gestures`, whatever is evaluated counts as one."""
        self.gestures = gestures
        self.errors: list[str] = []
        self._link = link
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reading = asyncio.create_task(self._read())

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        number = next(self._ids)
        self._asked[number] = asyncio.get_running_loop().create_future()
        await self._link.send(json.dumps({"id": number, "method": method, "params": parameters}))
        return await asyncio.wait_for(self._asked[number], ANSWER_S)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited. PageError where it throws."""
        answer = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
            userGesture=self.gestures,
        )  # fmt: skip
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return answer.get("result", {}).get("value")  # none between two pages

    async def until(self, expression: str, timeout_s: float = 60.0) -> Any:
        """Wait until an expression is true, and return its value; TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not (value := await self.evaluate(expression)):
                await asyncio.sleep(0.1)
        return value

    async def resize(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> None:
        """Set the size of the view in CSS pixels."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=scale, mobile=mobile,
        )  # fmt: skip

    async def tap(self, x: float, y: float) -> None:
        """A press and a release there, as of a person."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def key(self, key: str) -> None:
        """One key, pressed and released, as the keyboard sends it."""
        number = CODES.get(key) or ord(key.upper())
        for kind in ("keyDown", "keyUp"):
            typed = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            await self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=number, **typed,
            )  # fmt: skip

    async def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG file."""
        answer = await self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    async def _read(self) -> None:
        while True:
            message = json.loads(await self._link.recv())
            if message.get("id") in self._asked:
                self._asked.pop(message["id"]).set_result(message.get("result", message))
            elif message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
            elif message.get("method") in ("Runtime.consoleAPICalled", "Log.entryAdded"):
                entry = message["params"].get("entry", message["params"])
                if entry.get("type", entry.get("level")) in ("error", "warning"):
                    self.errors.append(json.dumps(entry))


@asynccontextmanager
async def browsing(profile: Path, url: str, *, guarded: bool = False) -> AsyncIterator[Tab]:
    """A tab that has opened `url`, with an empty profile of its own; no other host is found.

    In a `guarded` one nothing sounds before a gesture, as with people's browsers. UsageError where
    there is no Chromium, TimeoutError where it does not start, PageError where `url` does not open.
    """
    if PROGRAM is None:
        raise UsageError(f"there is no Chromium: {CURE}")
    process = subprocess.Popen(
        [PROGRAM, *OPTIONS, POLICY.format(GUARDED if guarded else FREE),
         f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with connect(await _address(profile), max_size=None) as link:
            tab = Tab(link, gestures=not guarded)
            try:
                for domain in ("Runtime", "Log", "Page"):
                    await tab.ask(f"{domain}.enable")
                opened = await tab.ask("Page.navigate", url=url)
                if "errorText" in opened:
                    raise PageError(f"{url}: {opened['errorText']}")
                await tab.until(f"document.readyState === 'complete' && {OPEN}")
                yield tab
            finally:
                tab.reading.cancel()
    finally:
        process.kill()
        process.wait()


async def _address(profile: Path) -> str:
    """The DevTools address of the first page, as soon as there is one."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            await asyncio.sleep(0.1)
            try:
                port = (profile / "DevToolsActivePort").read_text().split()[0]
                pages = await asyncio.to_thread(_list, port)
                return next(
                    page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"
                )
            except (OSError, IndexError, StopIteration):
                continue


def _list(port: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
        return list(json.load(answer))
