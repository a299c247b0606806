from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "faults.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]


def test_the_page_names_only_tests_that_exist() -> None:
    defined = set()
    for path in TESTS.rglob("test_*.py"):
        defined |= set(re.findall(r"def (test_\w+)", path.read_text()))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert named <= defined


def test_every_row_has_a_test_of_its_own_and_each_of_these_a_row() -> None:
    ours = set()
    for path in (TESTS / "faults").glob("test_*.py"):
        ours |= set(re.findall(r"def (test_\w+)", path.read_text()))
    held = [set(re.findall(r"`(test_\w+)`", row.split("|")[3])) for row in ROWS]
    assert len(held) == 15 and all(held)
    assert set().union(*held) == ours
