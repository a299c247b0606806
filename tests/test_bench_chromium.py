"""bench.chromium: a tab that says what went wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import chromium
from bench.chromium import PROGRAM, PageError, browsing
from engine.errors import UsageError

needed = pytest.mark.skipif(PROGRAM is None, reason="needs: apt install chromium")
PAGE = "data:text/html,<title>a page</title><input id=field type=range max=9 value=5>"


@needed
async def test_scripts_keys_and_errors(tmp_path: Path) -> None:
    async with browsing(tmp_path, PAGE) as tab:
        assert await tab.evaluate("document.title") == "a page"
        assert await tab.evaluate("new Promise((done) => setTimeout(() => done([7]), 5))") == [7]
        await tab.key("Tab")
        await tab.key("ArrowLeft")
        await tab.until("Number(field.value) === 4")
        with pytest.raises(PageError, match=r"^TypeError: .*null"):
            await tab.evaluate("document.getElementById('none').textContent")
        with pytest.raises(TimeoutError):
            await tab.until("false", 0.3)
        assert not tab.errors
        await tab.evaluate("console.error('trouble')")
        await tab.until("true")
        assert "trouble" in tab.errors[0]


@needed
async def test_a_page_that_does_not_open_is_named(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"http://127\.0\.0\.1:9/: net::ERR"):
        async with browsing(tmp_path, "http://127.0.0.1:9/"):
            pass


async def test_without_a_chromium_the_cure_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "PROGRAM", None)
    with pytest.raises(UsageError, match="apt install chromium"):
        async with browsing(tmp_path, PAGE):
            pass
