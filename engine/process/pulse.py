"""Whether a runner makes music when it should. Pure: what it has made and the time go in."""

from __future__ import annotations

STANDSTILL_S = 2.0
"""What should write, and has not for so long, stands still."""


class Pulse:
    """Tells a runner that has nothing to do from one that stands still."""

    def __init__(self, now_s: float) -> None:
        self._written, self._since_s = 0, now_s

    def beats(self, now_s: float, written_samples: int, left_s: float, lead_s: float) -> bool:
        """True while all is well.

        `left_s` is how long the audio ahead lasts, `lead_s` how long before its end more is begun.
        """
        if written_samples != self._written:
            self._written, self._since_s = written_samples, now_s
        return left_s >= lead_s / 2 or now_s - self._since_s < STANDSTILL_S
