"""The brief: every wish has its place, what is free is zero, what lies between is shared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brief import (
    BPM_CENTRES,
    CONTROLS_SIZE,
    DENSITY_HZ,
    FAMILIES,
    Wishes,
    brief_of,
    brief_size,
    control_groups,
    level_of,
)


def test_nothing_asked_is_all_zeros() -> None:
    row = brief_of(None, 8, Wishes())
    assert row.shape == (brief_size(8),) and row.dtype == np.float32
    assert not row.any()


def test_the_prompt_stands_in_front() -> None:
    prompt = np.arange(8, dtype=np.float32)
    row = brief_of(prompt, 8, Wishes())
    assert np.array_equal(row[:8], prompt) and not row[8:].any()


def test_every_group_holds_the_wish_of_its_name_and_no_other() -> None:
    wishes = [Wishes(bpm=120), Wishes(tonic=3), Wishes(scale=1), Wishes(density=0.4),
              Wishes(brightness=0.9), *(Wishes(families={f: True}) for f in FAMILIES)]  # fmt: skip
    groups = control_groups()
    assert len(groups) == len(wishes) and groups[-1].stop == CONTROLS_SIZE
    for group, wish in zip(groups, wishes, strict=True):
        row = brief_of(None, 0, wish)
        assert row[group].sum() == pytest.approx(1.0)
        row[group] = 0
        assert not row.any()


@given(st.floats(50, 200))
def test_a_tempo_is_the_mean_of_its_two_centres(bpm: float) -> None:
    row = brief_of(None, 0, Wishes(bpm=bpm))[control_groups()[0]]
    assert np.count_nonzero(row) <= 2
    octaves = row @ np.log2(np.array(BPM_CENTRES))
    assert 2**octaves == pytest.approx(bpm, rel=1e-4)


@pytest.mark.parametrize(("bpm", "nearest"), [(40, 0), (50, 0), (200, -1), (220, -1)])
def test_a_tempo_beyond_the_ends_is_the_end(bpm: float, nearest: int) -> None:
    row = brief_of(None, 0, Wishes(bpm=bpm))[control_groups()[0]]
    assert row[nearest] == pytest.approx(1.0)


def test_to_play_and_not_to_play_are_different_places() -> None:
    asked, forbidden = (brief_of(None, 0, Wishes(families={"bass": on})) for on in (True, False))
    assert asked.argmax() + 1 == forbidden.argmax()


def test_levels_run_by_their_logarithm() -> None:
    low, high = DENSITY_HZ
    assert level_of(low, DENSITY_HZ) == 0 and level_of(high, DENSITY_HZ) == 1
    assert level_of((low * high) ** 0.5, DENSITY_HZ) == pytest.approx(0.5)
    assert level_of(0.0, DENSITY_HZ) == 0 and level_of(1e9, DENSITY_HZ) == 1
