"""How the commands of this package answer: an error is one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from engine.errors import PerpetuoError, UsageError


def answered(name: str, work: Callable[[], object]) -> int:
    """Do the work; 0, or the exit code of the error that ended it, which goes to stderr."""
    try:
        work()
    except PerpetuoError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{name}: {error.filename}: {error.strerror}", file=sys.stderr)
        return UsageError.exit_code
    return 0
