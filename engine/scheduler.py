"""When to make the next block, and with how many passes. Data and the time go in, actions come out.

The ring holds `fill_s` of audio, so the next block is due at now + fill. Below the target a block
is made: with all passes if experience says that it will be there in time, with fewer if not. When
not even the fewest fit, the present music is held for a chunk, which buys that chunk's time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from engine.spec import LadderSpec

QUANTILE = 0.95
MEMORY = 64
"""Ticks that the estimate looks back on."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Make a block with so many steps; it is due at `deadline_s`."""

    steps: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """The ring is full enough: ask again after so many seconds (more than 0)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """No block can be made in time: hold the present music for a chunk."""


Action = Generate | Wait | Hold


class Costs:
    """What recent ticks took: a high quantile a pass, and one of all the rest of a tick."""

    def __init__(self) -> None:
        self._pass_s: deque[float] = deque(maxlen=MEMORY)
        self._rest_s: deque[float] = deque(maxlen=MEMORY)

    def record(self, passes: int, passes_s: float, rest_s: float) -> None:
        """A tick of so many passes took `passes_s` for them and `rest_s` for everything else."""
        if passes:
            self._pass_s.append(passes_s / passes)
            self._rest_s.append(rest_s)

    def estimate_s(self, passes: int) -> float:
        """Seconds that a tick of so many passes will hardly exceed; 0 while nothing is known."""
        return _quantile(self._pass_s) * passes + _quantile(self._rest_s)


class Scheduler:
    """Decides for one stream; keeps nothing but its settings."""

    def __init__(self, chunk_s: float, ladder: LadderSpec, target_s: float) -> None:
        self.ladder = ladder
        self.target_s = target_s
        self.most_s = target_s + chunk_s
        self.margin_s = 0.05 * chunk_s

    def decide(self, now_s: float, fill_s: float, steps: int, costs: Costs) -> Action:
        """What to do at `now_s` with `fill_s` of audio ahead, when `steps` are asked for.

        Blocks are made early enough for all steps, even if that takes more audio ahead than the
        target; but never beyond `most_s`. Where even that were too little for the fewest steps,
        holding would not help: the block is made with those, late or not.
        """
        slack_s = fill_s - self.margin_s - costs.estimate_s(steps // self.ladder.depth)
        wait_s = max(min(fill_s - self.target_s, slack_s), fill_s - self.most_s)
        if wait_s > 0:
            return Wait(wait_s)
        for few in (steps, *self.ladder.fallback_steps):
            choice = min(self.ladder.rounded(few), steps)
            needed_s = costs.estimate_s(choice // self.ladder.depth) + self.margin_s
            if needed_s <= fill_s:
                return Generate(choice, now_s + fill_s)
        return Hold() if needed_s <= self.most_s else Generate(choice, now_s + fill_s)


def _quantile(values: deque[float]) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(QUANTILE * len(ordered)))]
