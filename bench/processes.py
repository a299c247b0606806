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


def turns_s(process_id: int) -> tuple[float, float]:
    """Processor time that a process had, and how long it waited for a processor; all threads."""
    ran = waited = 0
    try:
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            fields = (thread / "schedstat").read_text(encoding="ascii").split()
            ran, waited = ran + int(fields[0]), waited + int(fields[1])
    except OSError:
        return float("nan"), float("nan")
    return ran / 1e9, waited / 1e9


def own_memory_mb(process_id: int) -> float:
    """Memory that a process has made or shares with few: what may grow; NaN where it is gone.

    Pages of files, such as libraries, come and go with what else the machine does, and count for
    nothing. What several processes share counts in parts.
    """
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    kinds = ("Pss_Anon:", "Pss_Shmem:")
    return sum(int(line.split()[1]) for line in lines if line.startswith(kinds)) * 1024 / 1e6
