import asyncio
import logging
import sys
import threading
from typing import Any

import pytest

from engine.commands.screen import _warnings_to, beside_screen, check_screen
from engine.errors import NetworkError, UsageError


def test_leaving_the_screen_ends_the_feed() -> None:
    threads: list[str] = []

    async def serving(asked: "asyncio.Future[int]") -> int:
        threads.append(threading.current_thread().name)
        return await asked

    def screen(over: Any) -> None:
        threads.append(threading.current_thread().name)
        assert not over()

    assert beside_screen(serving, screen) == 0
    assert sorted(threads) == ["MainThread", "perpetuo-feed"]


def test_a_feed_that_ends_says_why_when_the_screen_is_gone() -> None:
    async def serving(asked: "asyncio.Future[int]") -> int:
        raise NetworkError("the port is taken")

    def screen(over: Any) -> None:
        while not over():
            threading.Event().wait(0.005)

    with pytest.raises(NetworkError, match="taken"):
        beside_screen(serving, screen)


def test_a_screen_that_breaks_ends_the_feed() -> None:
    ended: list[int] = []

    async def serving(asked: "asyncio.Future[int]") -> int:
        ended.append(await asked)
        return ended[0]

    def screen(over: Any) -> None:
        raise UsageError("no terminal")

    with pytest.raises(UsageError):
        beside_screen(serving, screen)
    assert ended == [0]


def test_warnings_are_lines_of_the_screen() -> None:
    lines: list[str] = []
    with _warnings_to(lines.append):
        logging.getLogger("engine.runner").warning("a block was %s", "replaced")
        logging.getLogger("engine.runner").info("nothing")
    logging.getLogger("engine.runner").warning("too late")
    assert lines == ["a block was replaced"]


def test_without_a_terminal_or_textual_there_is_no_screen(monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(UsageError, match="needs a terminal"):
        check_screen()
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(UsageError, match=r"perpetuo\[rig\]"):
        check_screen()
