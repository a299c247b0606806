"""The commands, a module each: they put the parts of the engine together.

Results go to stdout, and everything about how it goes to stderr. A module imports what its
command needs and nothing else, so that the first audio is not kept waiting.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.errors import UsageError


def version() -> str:
    """The version of the installed distribution."""
    from importlib import metadata

    try:
        return metadata.version("perpetuo")
    except metadata.PackageNotFoundError:
        return "0 (not installed)"


def registered(name: str, arguments: Sequence[str]) -> int:
    """Run a command that another package registers (entry points `perpetuo.commands`)."""
    from importlib import metadata

    for entry in metadata.entry_points(group="perpetuo.commands", name=name):
        return int(entry.load()(arguments))
    raise UsageError(f"{name} is not part of this installation: pip install -e . from the source")


def say(line: str) -> None:
    """A line about how it goes."""
    print(line, file=sys.stderr, flush=True)
