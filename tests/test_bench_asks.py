"""bench.asks: every ask can be set, differs from what was before, and its tests tell it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bench.asks import GOALS, KEYS, TEMPI_BPM, Ask, asks
from bench.music import same_tempo
from bench.scene import NO_NOTES, Scene
from engine.backends import standin
from engine.brief import FAMILIES, TONICS
from engine.controls import Controls
from engine.harmony import notes_of

SCENE = Scene("jazz", dict.fromkeys(FAMILIES, False), False, 100.0, 0)


def named(name: str) -> Ask:
    return next(ask for ask in asks() if ask.name == name)


def passes(ask: Ask, scene: Scene) -> list[bool]:
    return [test(scene) for test in ask.tests.values()]


def test_every_group_with_a_goal_is_asked_for() -> None:
    groups = Counter(group for ask in asks() for group in ask.tests)
    assert set(GOALS) <= set(groups)
    assert groups["style"] == 9
    assert groups["instrument on"] == groups["instrument off"] == 12


@pytest.mark.parametrize("ask", asks(), ids=lambda ask: f"{ask.group}: {ask.name}")
def test_an_ask_is_a_change_within_the_controls(ask: Ask) -> None:
    controls = Controls(standin.bundle(prompting=True).manifest.controls)
    assert ask.before != ask.after
    assert controls.update(ask.before.controls) < controls.update(ask.after.controls)


def test_no_tempo_comes_from_its_octave_and_no_key_from_its_own_notes() -> None:
    assert not any(same_tempo(TEMPI_BPM[k - 3], TEMPI_BPM[k]) for k in range(len(TEMPI_BPM)))
    notes = [notes_of(TONICS.index(tonic), scale) for tonic, scale in KEYS]
    assert len(set(notes)) == len(KEYS)


def test_styles_and_keys_are_told() -> None:
    assert passes(named("jazz"), SCENE) == [True]
    assert passes(named("house"), SCENE) == [False]
    assert passes(named("C major"), SCENE) == [True, True]
    assert passes(named("F# minor"), SCENE) == [False, False]
    for notes, near in ((7, True), (5, True), (2, False), (NO_NOTES, False)):
        assert passes(named("C major"), replace(SCENE, notes=notes)) == [False, near]


def test_drums_are_told_by_judge_and_by_onsets() -> None:
    on = replace(SCENE, drums=True, families={**SCENE.families, "drums": True})
    assert passes(named("drums on"), on) == [True, True]
    assert passes(named("no drums"), on) == [False, False]
    assert passes(named("no drums"), SCENE) == [True, True]


def test_an_instrument_that_may_sound_is_neither_on_nor_off() -> None:
    unsure = replace(SCENE, families={**SCENE.families, "bass": None})
    assert passes(named("bass on"), unsure) == passes(named("bass off"), unsure) == [False]


def test_only_bass_and_drums_is_both_and_nothing_else() -> None:
    both = {**SCENE.families, "bass": True, "drums": True}
    assert passes(named("only bass and drums"), replace(SCENE, families=both)) == [True]
    more = replace(SCENE, families={**both, "keys": True})
    assert passes(named("only bass and drums"), more) == [False]
    assert passes(named("only bass and drums"), SCENE) == [False]


def test_an_octave_of_the_tempo_counts_beside_and_is_told_apart() -> None:
    assert passes(named("66 bpm"), replace(SCENE, bpm=132.0)) == [True, False]
    assert passes(named("66 bpm"), replace(SCENE, bpm=67.0)) == [True, True]
    assert passes(named("66 bpm"), SCENE) == [False, False]
