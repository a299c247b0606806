"""bench.rates: rates, ceilings and chance from scenes whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.asks import Ask, Wish
from bench.rates import Stretch, Trial, figures, summary
from bench.scene import Scene
from engine.brief import FAMILIES

JAZZ = Scene("jazz", dict.fromkeys(FAMILIES, False), False, 100.0, 0)
FOLK = replace(JAZZ, style="folk")


def style_ask(style: str) -> Ask:
    return Ask(style, Wish(), Wish(style), {"style": lambda scene: scene.style == style})


def test_rates_of_one_ask() -> None:
    ask = style_ask("jazz")
    trials = [Trial(ask, 0, FOLK, JAZZ, 3), Trial(ask, 1, FOLK, JAZZ, 9), Trial(ask, 2, JAZZ, FOLK)]
    known = [Stretch(JAZZ, JAZZ, JAZZ)] * 4 + [Stretch(JAZZ, JAZZ, FOLK), Stretch(JAZZ, FOLK, FOLK)]
    known += [Stretch(FOLK, FOLK, FOLK)] * 4
    found = figures(trials, known, [(ask, ask.tests["style"])])
    assert found["reached"] == pytest.approx(2 / 3)
    assert found["before"] == pytest.approx(1 / 3)
    assert found["songs"] == pytest.approx(5 / 6)
    assert found["copies"] == pytest.approx(4 / 6)
    assert found["chance"] == pytest.approx(5 / 10)
    assert found["error"] == pytest.approx(math.sqrt(2 / 9 / 3))
    assert found["streams"] == 3
    assert found["kinds"] == 3.0


def test_asks_count_the_same_however_many_streams_they_have() -> None:
    jazz, folk = style_ask("jazz"), style_ask("folk")
    trials = [Trial(jazz, k, FOLK, JAZZ) for k in range(3)] + [Trial(folk, 0, JAZZ, JAZZ)]
    found = summary(trials, [Stretch(JAZZ, JAZZ, JAZZ)], [jazz, folk])
    assert found["style"]["reached"] == 0.5
    assert found["style"]["goal"] == 0.85
    assert found["style"]["each"]["jazz"]["reached"] == 1.0


def test_too_few_songs_make_no_ceiling_and_no_streams_no_rate() -> None:
    ask = style_ask("jazz")
    found = figures([], [Stretch(JAZZ, JAZZ, JAZZ)] * 4, [(ask, ask.tests["style"])])
    assert all(math.isnan(found[name]) for name in ("songs", "reached", "kinds"))
    assert (found["chance"], found["streams"]) == (1.0, 0)
