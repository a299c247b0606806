"""Which kind of control is set next, and when: the same for every client that is measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

KINDS = ("idea", "hand")

PAUSE_S = 0.0737
"""Between a control that was heard and the next one, up to seven times as long: out of step with
chunks and packets."""

HAND_EVERY = 3
"""Every third control is a hand."""


def turns() -> Iterator[tuple[str, float]]:
    """(kind, seconds to wait once it was heard), without end."""
    for number in itertools.count(1):
        yield KINDS[number % HAND_EVERY == 0], PAUSE_S * (1 + number % 7)
