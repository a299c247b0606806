"""What keeps a machine busy beside a measurement."""

from __future__ import annotations

import os

import pytest

from bench.load import TOOL, busy, busy_with
from bench.processes import tree


def test_so_many_processes_work_until_the_end() -> None:
    own = set(tree(os.getpid()))
    with busy(2, 19):
        assert len(set(tree(os.getpid())) - own) >= 2
    assert set(tree(os.getpid())) == own


def test_nobody_is_started_for_nothing() -> None:
    own = set(tree(os.getpid()))
    with busy(0):
        assert set(tree(os.getpid())) == own


def test_where_there_is_no_tool_python_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/none")
    assert busy_with() != TOOL
    with busy(1, 19):
        assert len(tree(os.getpid())) >= 2
