from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from engine.lockstep import Ticking, alone, together


class Shared:
    """Notes which rows were run, and fails where it is told to."""

    def __init__(self, name: str = "", fails: bool = False) -> None:
        self.name, self.fails = name, fails
        self.ran: list[tuple[int, ...]] = []

    def go(self, rows: Sequence[int]) -> None:
        self.ran.append(tuple(rows))
        if self.fails:
            raise MemoryError("gone")


def tick(run: Any, row: int, passes: int, error: Exception | None = None) -> Ticking[str]:
    for _ in range(passes):
        yield run, row
    if error is not None:
        raise error
    return f"row {row}"


def test_a_tick_alone_runs_its_passes_one_by_one() -> None:
    run = Shared()
    assert alone(tick(run, 3, 2)) == "row 3"
    assert run.ran == [(3,), (3,)]
    with pytest.raises(ValueError, match="no"):
        alone(tick(run, 3, 1, ValueError("no")))


def test_passes_that_share_a_run_are_one_until_some_have_ended() -> None:
    run, other = Shared(), Shared()
    ticks = [tick(run, 0, 3), tick(other, 0, 2), tick(run, 1, 1), tick(run, 2, 3)]
    assert together(ticks) == ["row 0", "row 0", "row 1", "row 2"]
    assert run.ran == [(0, 1, 2), (0, 2), (0, 2)]
    assert other.ran == [(0,), (0,)]


def test_who_fails_hurts_nobody_else() -> None:
    run = Shared()
    wrong = ValueError("no")
    found = together([tick(run, 0, 2), tick(run, 1, 1, wrong), tick(run, 2, 2)])
    assert found == ["row 0", wrong, "row 2"]


def test_a_run_that_fails_fails_for_those_who_share_it_and_they_are_closed() -> None:
    run, good, closed = Shared(fails=True), Shared(), []

    def watched(row: int) -> Iterator[Any]:
        try:
            yield run, row
        finally:
            closed.append(row)

    found = together([watched(0), tick(good, 0, 1), watched(1)])  # type: ignore[list-item]
    assert [str(one) for one in found] == ["gone", "row 0", "gone"]
    assert closed == [0, 1]


def test_nothing_to_do_is_done() -> None:
    assert together([]) == []
    assert together([tick(Shared(), 5, 0)]) == ["row 5"]
