"""Work that is put off until there is time for it, at the latest until it is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Later:
    """Pieces of work in the order in which they were put off; nothing is done twice."""

    def __init__(self) -> None:
        self._work: deque[Callable[[], None]] = deque()

    def put_off(self, work: Callable[[], None]) -> None:
        """Do this later."""
        self._work.append(work)

    def settle(self) -> None:
        """Do now what was put off, if anything was; what fails is not tried again."""
        while self._work:
            self._work.popleft()()
