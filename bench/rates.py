"""How often what was asked was reached, beside what could be reached and what chance reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.asks import GOALS, Ask, Test
from bench.scene import Scene

LEAST_STRETCHES = 5
"""Fewer held-out stretches than this make no ceiling."""


@dataclass(frozen=True)
class Stretch:
    """8 s of a held-out song: what it is, as it was heard, and its copy as it was heard; how many
    kinds of semantic tokens it holds.
    """

    truth: Scene
    song: Scene
    copy: Scene
    kinds: int = 0


@dataclass(frozen=True)
class Trial:
    """One stream: what was heard before the change, and from 4 s after it on, and the kinds of
    semantic tokens there.
    """

    ask: Ask
    seed: int
    before: Scene
    after: Scene
    kinds: int = 0


def figures(
    trials: Sequence[Trial], known: Sequence[Stretch], tests: Sequence[tuple[Ask, Test]]
) -> dict[str, Any]:
    """Rates over some asks with their tests, each ask counting the same."""
    mine = [[trial for trial in trials if trial.ask is ask] for ask, _ in tests]
    pairs = [(each, test) for each, (_, test) in zip(mine, tests, strict=True) if each]
    after = [np.mean([test(trial.after) for trial in each]) for each, test in pairs]
    fitting = [([one for one in known if test(one.truth)], test) for _, test in tests]
    enough = [(ones, test) for ones, test in fitting if len(ones) >= LEAST_STRETCHES]
    count = sum(len(each) for each, _ in pairs)
    reached = _mean(after)
    return {
        "streams": count,
        "reached": reached,
        "error": float(np.sqrt(reached * (1 - reached) / count)) if count else float("nan"),
        "before": _mean([np.mean([test(trial.before) for trial in each]) for each, test in pairs]),
        "songs": _mean([np.mean([test(one.song) for one in ones]) for ones, test in enough]),
        "copies": _mean([np.mean([test(one.copy) for one in ones]) for ones, test in enough]),
        "chance": _mean([np.mean([test(one.song) for one in known]) for _, test in tests]),
        "kinds": median([trial.kinds for each, _ in pairs for trial in each]),
    }  # fmt: skip


def median(values: Sequence[float]) -> float:
    """NaN where there is nothing."""
    return float(np.median(values)) if values else float("nan")


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if values else float("nan")


def summary(
    trials: Sequence[Trial], known: Sequence[Stretch], asked: Sequence[Ask]
) -> dict[str, Any]:
    """Figures by group, and in every group by ask."""
    groups: dict[str, list[tuple[Ask, Test]]] = {}
    for ask in asked:
        for group, test in ask.tests.items():
            groups.setdefault(group, []).append((ask, test))
    return {
        group: {
            **figures(trials, known, tests),
            "goal": GOALS.get(group),
            "each": {pair[0].name: figures(trials, known, [pair]) for pair in tests},
        }
        for group, tests in groups.items()
    }
