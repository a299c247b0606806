"""Bounds on what one listener may cost, as pure arithmetic on `now_s` and byte counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TokenBucket:
    """Allows `burst` messages at once and `rate_hz` in the long run."""

    def __init__(self, rate_hz: float, burst: float) -> None:
        self._rate_hz = rate_hz
        self._burst = burst
        self._tokens = burst
        self._last_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Spend one token if there is one; time that runs backwards refills nothing."""
        last_s = now_s if self._last_s is None else self._last_s
        self._last_s = max(now_s, last_s)
        self._tokens = min(self._burst, self._tokens + (self._last_s - last_s) * self._rate_hz)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Verdict(Enum):
    """What to do with the next packet of one listener."""

    SEND = "send"
    SKIP = "skip"
    CUT = "cut"


@dataclass
class Backlog:
    """What one listener is owed: audio in its send buffer plus audio skipped in a row.

    Beyond `skip_s` of buffered audio packets are skipped, so memory stays flat; beyond `cut_s`
    of audio owed the listener is cut. A slow listener that still drains is skipped, never cut.
    """

    skip_s: float
    cut_s: float
    skipped_s: float = 0.0

    def judge(self, buffered_s: float, packet_s: float) -> Verdict:
        """Decide about a packet of `packet_s` when `buffered_s` of audio wait to be sent."""
        if buffered_s + self.skipped_s + packet_s > self.cut_s:
            return Verdict.CUT
        if buffered_s + packet_s > self.skip_s:
            self.skipped_s += packet_s
            return Verdict.SKIP
        self.skipped_s = 0.0
        return Verdict.SEND
