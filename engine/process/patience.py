"""How long a process has given no sign of life. Pure: times come in, times go out.

Only time in which the watcher itself got its turns counts. Where it was kept from them, those that
it watches were likely kept from theirs, and have not had the time to give a sign; so one long
absence is one look missed, however long it was. Where the watcher gets its turns, a process that
stands still is found as soon as without this.
"""

from __future__ import annotations

from collections.abc import Mapping


class Patience:
    """Counts the silence of whoever is watched, by their numbers."""

    def __init__(self, turn_s: float) -> None:
        """No turn counts for longer than `turn_s`."""
        self._turn_s = turn_s
        self._looked_s: float | None = None
        self._watched_s = 0.0
        self._heard: dict[int, tuple[float, float]] = {}  # the last sign, and when it was new

    def silent_s(self, now_s: float, signs: Mapping[int, float]) -> dict[int, float]:
        """For how long the sign of each has not changed; who is not named is forgotten."""
        last_s = now_s if self._looked_s is None else self._looked_s
        self._looked_s = now_s
        self._watched_s += min(max(0.0, now_s - last_s), self._turn_s)
        self._heard = {
            who: self._heard[who]
            if who in self._heard and self._heard[who][0] == sign
            else (sign, self._watched_s)
            for who, sign in signs.items()
        }
        return {who: self._watched_s - since_s for who, (_, since_s) in self._heard.items()}
