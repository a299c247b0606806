"""When to make the next block, and with how many passes. Data and the time go in, actions come out.

A chunk takes its controls when it is begun, so it is begun as late as experience allows: a *lead*
before the next block is due, which is what nearly every tick is done in (p99.9) and a margin. With
less time than that a block is made with fewer passes. When not even the fewest fit, the present
music is held for a chunk, which buys that chunk's time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from math import log

from engine.spec import LadderSpec

QUANTILE = 0.95
MEMORY = 64
"""Ticks that the estimate looks back on: what to expect of the next tick."""

TAIL_QUANTILE = 0.999
TAIL_MEMORY = 1024
"""Ticks that the tail looks back on: what to be ready for."""

ENOUGH = 16
"""Ticks before the tail is trusted at all."""

HORIZON = 20_000
"""Ticks that the tail is to last for, one and three quarter hours of chunks of 0.32 s."""

MARGIN_S = 0.03
"""What is kept in hand where nobody says otherwise."""

CALM = 0.9998
"""What is left after a calm tick of a margin that had grown: half after 3,500 ticks, 18 minutes of
chunks of 0.32 s. What happened once may happen again."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Make a block with so many steps; it is due at `deadline_s`."""

    steps: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """It is too early: ask again after so many seconds (more than 0)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """No block can be made in time: hold the present music for a chunk."""


Action = Generate | Wait | Hold


class Recent:
    """The last so many values, and their quantiles."""

    def __init__(self, size: int) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._ordered: list[float] = []

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, value: float) -> None:
        """Takes the place of the oldest where there is no room."""
        if len(self._values) == self._values.maxlen:
            del self._ordered[bisect_left(self._ordered, self._values[0])]
        self._values.append(value)
        insort(self._ordered, value)

    def quantile(self, share: float) -> float:
        """The value that so large a share does not exceed; 0 of none."""
        last = len(self._ordered) - 1
        return self._ordered[min(last, int(share * (last + 1)))] if last >= 0 else 0.0

    def tail(self) -> float:
        """What one in HORIZON values will exceed, if the tail goes on as it was seen.

        The greatest of n values of an exponential tail lies a scale · ln n beyond its body, so the
        greatest of N lies the spread seen · ln(N / n) / ln n further out.
        """
        count, far = len(self), self.quantile(TAIL_QUANTILE)
        spread = far - self.quantile(0.5)
        return far + spread * log(HORIZON / count) / log(count) if count > 1 else far


class Costs:
    """What recent ticks took: for a pass, and for all the rest from begun to written.

    A pass of two rows (with guidance) costs more than one of one row, so they are kept apart.
    """

    def __init__(self) -> None:
        self._passes = {(rows, size): Recent(size) for rows in (1, 2) for size in SIZES}
        self._rest = {size: Recent(size) for size in SIZES}

    def record(self, passes: int, passes_s: float, rest_s: float, rows: int = 1) -> None:
        """A tick of so many passes took `passes_s` for them and `rest_s` for everything else."""
        if passes:
            for size in SIZES:
                self._passes[rows, size].add(passes_s / passes)
                self._rest[size].add(rest_s)

    def estimate_s(self, passes: int, rows: int = 1) -> float:
        """Seconds that a tick of so many passes will hardly exceed; 0 while nothing is known.

        Two rows that were never seen are taken for twice as much as one, and one for two.
        """
        known, factor = self._passes[rows, MEMORY], 1.0
        if not len(known):
            known, factor = self._passes[3 - rows, MEMORY], float(rows)
        pass_s = factor * known.quantile(QUANTILE)
        return pass_s * passes + self._rest[MEMORY].quantile(QUANTILE)

    def tail_s(self, passes: int, rows: int = 1) -> float | None:
        """The p99.9 of such ticks, and as much more as has not been seen yet; None of too few."""
        known = self._passes[rows, TAIL_MEMORY]
        if len(known) < ENOUGH:
            return None
        return known.tail() * passes + self._rest[TAIL_MEMORY].tail()


SIZES = (MEMORY, TAIL_MEMORY)


class Margin:
    """What is kept in hand beyond the tail: more at once after a close call, slowly less again."""

    def __init__(self, least_s: float, most_s: float) -> None:
        self.least_s = least_s
        self.most_s = max(least_s, most_s)
        self.seconds = least_s

    def note(self, spare_s: float) -> None:
        """A block was there so long before it would have been missed, or so late if negative.

        Half of the least margin is close: it doubles, and grows by what was late. What not even the
        greatest margin could have bridged, as of a machine that was asleep, is a close call only.
        """
        if spare_s >= min(self.least_s, MARGIN_S) / 2:
            self.seconds = self.least_s + CALM * (self.seconds - self.least_s)
            return
        late_s = max(-spare_s, 0.0)
        if self.seconds + late_s > self.most_s:
            late_s = 0.0
        step_s = max(self.seconds, self.least_s, MARGIN_S) + late_s
        self.seconds = min(self.most_s, self.seconds + step_s)


class Scheduler:
    """Decides for one stream; keeps its settings, and its margin.

    `target_s` is the longest lead that caution may ask for, and the lead before enough is known;
    what ticks are expected to take may ask for more.
    """

    def __init__(
        self, chunk_s: float, ladder: LadderSpec, target_s: float, margin_s: float = MARGIN_S
    ) -> None:
        self.ladder = ladder
        self.target_s = target_s
        self.most_s = target_s + chunk_s
        self.hurry_s = 0.05 * chunk_s
        self.margin = Margin(margin_s, target_s)

    def lead_s(self, steps: int, costs: Costs, rows: int = 1) -> float:
        """How long before it is due a block is begun."""
        passes = steps // self.ladder.depth
        tail_s = costs.tail_s(passes, rows)
        safe_s = self.target_s if tail_s is None else tail_s + self.margin.seconds
        likely_s = costs.estimate_s(passes, rows) + self.hurry_s
        return max(likely_s, min(safe_s, self.target_s))

    def decide(
        self, now_s: float, fill_s: float, left_s: float, steps: int, costs: Costs, rows: int = 1
    ) -> Action:
        """What to do at `now_s`, with `fill_s` of audio ahead, when `steps` are asked for.

        The next block is due in `left_s`. Blocks are begun early enough for all steps, as long as
        no more than `most_s` of audio is ahead. Where even that were too little for the fewest
        steps, holding would not help: the block is made with those, late or not. To have to do with
        fewer steps, or to hold, is a close call: the margin grows.
        """
        wait_s = max(left_s - self.lead_s(steps, costs, rows), fill_s - self.most_s)
        if wait_s > 0:
            return Wait(wait_s)
        for few in (steps, *self.ladder.fallback_steps):
            choice = min(self.ladder.rounded(few), steps)
            needed_s = costs.estimate_s(choice // self.ladder.depth, rows) + self.hurry_s
            if needed_s <= left_s:
                if choice < steps:
                    self.margin.note(0.0)
                return Generate(choice, now_s + left_s)
        self.margin.note(0.0)
        return Hold() if needed_s <= self.most_s else Generate(choice, now_s + left_s)
