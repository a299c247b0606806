"""The player of the suite's cases, against our door with an echo and against the feed."""

# ruff: noqa: N802 – the names are the suite's

from __future__ import annotations

from typing import Any

import pytest

from bench.autobahn import testee
from bench.autobahn.__main__ import ask, report
from bench.autobahn.player import Outcome, Player, masked


class Case:
    """The least of what the suite's own base class does."""

    OPEN: tuple[Any, ...] = ()
    CLOSED_BY_ME = True
    CODE = 1000

    def __init__(self, player: Any) -> None:
        self.p = player
        self.received: list[Any] = []
        self.expected: dict[str, list[Any]] = {"OK": list(self.OPEN)}
        self.expectedClose: dict[str, Any] = {}
        self.behavior = self.behaviorClose = "FAILED"
        self.result = self.resultClose = ""

    def onMessage(self, message: str, binary: bool) -> None:
        self.hear(("message", message, binary))

    def onPing(self, payload: str) -> None:
        self.hear(("ping", payload))

    def onPong(self, payload: str) -> None:
        self.hear(("pong", payload))

    def hear(self, event: Any) -> None:
        self.received.append(event)
        if self.received == self.expected["OK"] and self.CLOSED_BY_ME:
            self.p.sendClose(1000)

    def onConnectionLost(self, failed_by_me: bool) -> None:
        self.behavior = "OK" if self.received == self.expected["OK"] else "FAILED"
        as_meant = self.p.closedByMe == self.CLOSED_BY_ME and self.p.remoteCloseCode == self.CODE
        self.behaviorClose = "OK" if as_meant and not failed_by_me else "FAILED"


class Case1Text(Case):
    OPEN = (("message", "h\xc3\xa9llo", False),)

    def onOpen(self) -> None:
        self.p.sendMessage("h\xc3\xa9llo", fragmentSize=2)
        self.p.killAfter(5)


class Case2Ping(Case):
    OPEN = (("pong", "\xff\x00"), ("message", "", False))

    def onOpen(self) -> None:
        self.p.sendFrame(9, "\xff\x00", chopsize=1)
        self.p.sendFrame(1, "")
        self.p.killAfter(5)


class Case3Reserved(Case):
    CLOSED_BY_ME = False
    CODE = 1002

    def onOpen(self) -> None:
        self.p.sendFrame(1, "x", rsv=4)
        self.p.killAfter(5)


class Case4Streamed(Case):
    CLOSED_BY_ME = False
    CODE = 1007

    def onOpen(self) -> None:
        self.p.beginMessage()
        self.p.beginMessageFrame(2)
        self.p.sendMessageFrameData("\xce")
        self.p.continueLater(0.05, self.more)
        self.p.killAfter(5)

    def more(self) -> None:
        self.p.sendMessageFrameData("\xf4")
        self.p.endMessage()


class Case5Never(Case):
    OPEN = (("message", "what nobody says", False),)

    def onOpen(self) -> None:
        self.p.killAfter(0.1)


class Case6Within(Case):
    def onOpen(self) -> None:
        self.p.sendFrame(1, "a message that", fin=False)
        self.p.sendClose(1000)
        self.p.sendFrame(0, " never ends")
        self.p.killAfter(5)


EVERY = (Case1Text, Case2Ping, Case3Reserved, Case4Streamed, Case6Within)
CASES = {one.__name__: one for one in EVERY}


async def test_an_echo_behind_our_door_keeps_the_rules() -> None:
    async with testee.echo() as server:
        outcomes = await ask(server, CASES)
        never = await Player(server).play(Case5Never)
    assert [(one.behaviour, one.close) for one in outcomes] == [("OK", "OK")] * 5
    assert never.failed


class Case7Many(Case):
    """In more fragments than anybody but the suite sends."""

    OPEN = (("message", "x" * 4097, False),)

    def onOpen(self) -> None:
        self.p.sendMessage("x" * 4097, fragmentSize=1)
        self.p.killAfter(30)


async def test_the_echo_takes_as_many_fragments_as_the_suite_has_and_the_feed_takes_fewer() -> None:
    async with testee.echo() as server:
        echoed = await Player(server).play(Case7Many)
    async with testee.feed() as server:
        fed = await Player(server).play(Case7Many)
    assert (echoed.behaviour, echoed.close) == ("OK", "OK")
    assert fed.failed and fed.code == 1009


async def test_the_feed_answers_every_message_and_keeps_the_same_rules() -> None:
    async with testee.feed() as server:
        outcomes = await ask(server, CASES)
    assert [(one.behaviour, one.close) for one in outcomes] == [("OK", "OK")] * 5


@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_masking_twice_is_nothing(size: int) -> None:
    payload = bytes(range(size))
    assert masked(masked(payload, b"abcd"), b"abcd") == payload


def test_the_report_names_what_failed_and_what_was_not_strict() -> None:
    outcomes = [
        Outcome("1.1.1", "OK", "OK", 1000, "well"),
        Outcome("6.4.1", "NON-STRICT", "OK", 1007, "late"),
        Outcome("7.1.5", "OK", "WRONG CODE", 1002, "code"),
        Outcome("7.1.6", "OK", "UNCLEAN", None, "dropped"),
        Outcome("9.1.1", "FAILED", "OK", 1000, "slow"),
    ]
    first, *lines = report("echo", outcomes)
    assert first == "echo  5 cases: 2 FAILED, 2 NON-STRICT, 1 OK"
    assert [line.split() for line in lines[:4]] == [
        ["1", "framing", "1", "OK"], ["6", "UTF-8", "1", "NON-STRICT"],
        ["7", "closing", "1", "FAILED,", "1", "NON-STRICT"],
        ["9", "limits,", "speed", "1", "FAILED"],
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[4:]] == ["6.4.1", "7.1.5", "7.1.6", "9.1.1"]
