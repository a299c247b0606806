"""Errors end a command in one line with their exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BundleError, UsageError
from export.command import answered


@pytest.mark.parametrize(("error", "code"), [(UsageError("no"), 2), (BundleError("no"), 3)])
def test_errors_of_ours_are_a_line_and_their_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise error

    assert answered("export", work) == code
    assert capsys.readouterr().err == "export: no\n"


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered("restore", (tmp_path / "none.md").read_text) == 2
    assert capsys.readouterr().err == f"restore: {tmp_path}/none.md: No such file or directory\n"


def test_what_succeeds_says_nothing_and_a_fault_is_not_hidden(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert answered("export", lambda: None) == 0
    assert capsys.readouterr().err == ""
    with pytest.raises(ZeroDivisionError):
        answered("export", lambda: divmod(1, 0))
