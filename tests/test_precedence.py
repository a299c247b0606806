"""Who goes before whom: threads alone, and nothing where the system says no."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import precedence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs: Linux")


def niceness_after(change: Callable[[], bool]) -> tuple[bool, int]:
    def found() -> tuple[bool, int]:
        granted = change()
        return granted, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(1) as one:
        return one.submit(found).result()


def test_a_thread_that_gives_way_takes_no_other_with_it() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert niceness_after(precedence.give_way) == (True, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_precedence_is_taken_where_it_is_granted() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    granted, niceness = niceness_after(precedence.take_precedence)
    assert niceness == (precedence.NICENESS if granted else before)


def test_a_refusal_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, who: int, niceness: int) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(os, "setpriority", refuse)
    assert not precedence.take_precedence()


def test_elsewhere_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not precedence.give_way()
