import sys
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import NetworkError, UsageError
from engine.rig.link import LinkPort
from engine.rig.orders import Tempo


class Session:
    """What the library gives: one peer of a session that the test leads."""

    broken = False

    def __init__(self, bpm: float) -> None:
        self.bpm, self.others, self.joined = bpm, 0, False

    def setNumPeersCallback(self, callback: Any) -> None:  # noqa: N802
        self.met = callback

    def setTempoCallback(self, callback: Any) -> None:  # noqa: N802
        self.changed = callback

    def numPeers(self) -> int:  # noqa: N802
        return self.others

    def captureAppSessionState(self) -> Any:  # noqa: N802
        return SimpleNamespace(tempo=lambda: self.bpm)

    @property
    def enabled(self) -> bool:
        return self.joined

    @enabled.setter
    def enabled(self, on: bool) -> None:
        if self.broken:
            raise RuntimeError("no interface")
        self.joined = on


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = SimpleNamespace(Link=Session)
    monkeypatch.setitem(sys.modules, "link", module)
    return module


def test_the_tempo_of_others_is_heard_and_nobodys_is_not(library: Any) -> None:
    heard: list[Any] = []
    port = LinkPort(heard.append)
    session = port._link
    assert session.joined
    session.changed(90.0)  # alone: that is nobody's wish
    assert heard == []
    session.others = 1
    session.met(1)
    session.changed(97.504)
    session.others = 0
    session.met(0)
    assert heard == [Tempo(120.0), Tempo(97.5)]
    port.close()
    assert not session.joined


def test_a_network_that_does_not_work(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "broken", True)
    with pytest.raises(NetworkError, match="Ableton Link does not work here"):
        LinkPort(print)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "link", None)
    with pytest.raises(UsageError, match=r"perpetuo\[link\]"):
        LinkPort(print)
