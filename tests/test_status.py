from __future__ import annotations

import io

from engine.commands.status import CLEAR, StatusLine, describe
from engine.status import RunnerStatus


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_quiet_stream_is_told_without_troubles() -> None:
    status = RunnerStatus(
        fill_samples=12000, last_tick_s=0.043, budget_s=0.32, steps=10, lead_s=0.17, spare_s=0.041
    )
    said = describe(status, 24000, 61.9)
    assert said == (
        "1:01  500 ms ahead, 43 of 320 ms a chunk, begun 170 ms early, 41 to spare, 10 steps"
    )


def test_troubles_are_counted() -> None:
    status = RunnerStatus(deadline_misses=2, holds=3, replaced_blocks=4)
    assert describe(status, 24000, 0.0).endswith("2 late, 3 held, 4 replaced")


def test_a_terminal_keeps_one_line() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("one")
    line.show("two")
    line.close()
    assert terminal.getvalue() == f"{CLEAR}one{CLEAR}two\n"


def test_anything_else_stays_clean() -> None:
    file = io.StringIO()
    line = StatusLine(file)
    line.show("one")
    line.close()
    assert file.getvalue() == ""
