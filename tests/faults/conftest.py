"""What `make faults` prints: a line for each row of the table, with its number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOLD] = []


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a number of this test for the end."""
    row = request.node.name.removeprefix("test_").replace("_", " ")
    return lambda words: request.config.stash[TOLD].append(f"{row}: {words}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("faults, and what they did")
    for line in terminalreporter.config.stash[TOLD]:
        terminalreporter.write_line(line)
