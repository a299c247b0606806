"""How it goes, in one line that stays in its place on a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from engine.status import RunnerStatus

EVERY_S = 0.25
CLEAR = "\r\x1b[K"


def describe(status: RunnerStatus, rate_hz: int, played_s: float) -> str:
    """Time played, audio ahead, what a chunk takes, how late it is begun, and what went wrong."""
    minutes, seconds = divmod(int(played_s), 60)
    trouble = {
        "late": status.deadline_misses,
        "held": status.holds,
        "replaced": status.replaced_blocks,
    }
    counted = "".join(f", {count} {name}" for name, count in trouble.items() if count)
    return (
        f"{minutes}:{seconds:02}  {1000 * status.fill_samples / rate_hz:.0f} ms ahead, "
        f"{1000 * status.last_tick_s:.0f} of {1000 * status.budget_s:.0f} ms a chunk, "
        f"begun {1000 * status.lead_s:.0f} ms early, {1000 * status.spare_s:.0f} to spare, "
        f"{status.steps} steps{counted}"
    )


class StatusLine:
    """Rewrites one line of a terminal; writes nothing anywhere else."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = False

    def show(self, text: str) -> None:
        """Put this in the place of what was shown before."""
        if self._stream.isatty():
            self._stream.write(CLEAR + text)
            self._stream.flush()
            self._shown = True

    def close(self) -> None:
        """Leave the last line standing."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
