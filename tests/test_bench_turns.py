"""bench.turns: which control, and when."""

from __future__ import annotations

import itertools

from bench.turns import KINDS, turns


def test_both_kinds_come_and_the_waits_are_out_of_step() -> None:
    first = list(itertools.islice(turns(), 42))
    kinds = [kind for kind, _ in first]
    assert set(kinds) == set(KINDS)
    assert kinds.count("idea") == 2 * kinds.count("hand")
    for kind in KINDS:  # each kind meets each wait
        assert len({wait_s for one, wait_s in first if one == kind}) == 7
    assert all(0.0 < wait_s < 1.0 for _, wait_s in first)
