"""How often a process may be started again. Pure: times come in, verdicts go out."""

from __future__ import annotations

from collections import deque


class Restarts:
    """At most so many new starts within `window_s`."""

    def __init__(self, most: int, window_s: float = 60.0) -> None:
        self.most = most
        self.window_s = window_s
        self._starts_s: deque[float] = deque()

    def allowed(self, now_s: float) -> bool:
        """Whether to start it again now; a yes is counted."""
        while self._starts_s and now_s - self._starts_s[0] > self.window_s:
            self._starts_s.popleft()
        if len(self._starts_s) >= self.most:
            return False
        self._starts_s.append(now_s)
        return True

    @property
    def recent(self) -> int:
        """New starts that count now."""
        return len(self._starts_s)
