"""What a process and all that it started take of the machine."""

from __future__ import annotations

from pathlib import Path

from bench import machine


def tree_memory_mb(process_id: int) -> float:
    """Resident memory of a process and its children, theirs too; what they share counts for each.

    NaN where the system does not say.
    """
    return sum(machine.memory_mb(one) for one in tree(process_id))


def tree(process_id: int) -> list[int]:
    """A process and all below it that are still there."""
    found = [process_id]
    try:
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            for child in (thread / "children").read_text(encoding="ascii").split():
                found += tree(int(child))
    except OSError:  # it has just ended, or this system has no such files
        pass
    return found
