from __future__ import annotations

from dataclasses import replace

import numpy as np
from keyed import Keyed

from engine.asked import COURSE, COURSE_S, HEARD, Asked, pushed, wishes_of
from engine.backends import standin
from engine.bearings import Bearings
from engine.brief import FAMILIES, SCALES, Wishes
from engine.bundle import Bundle
from engine.clock import KEYS, SIXTEENTHS, Clock
from engine.controls import Controls, ControlSnapshot
from engine.harmony import notes_of
from engine.prompts import Prompts
from engine.session import Backend

BUNDLE = standin.bundle(prompting=True)
RATE_HZ = 25.0
FREE = Bearings()


def asked_of(backend: Backend | None = None, **pulls: float) -> Asked:
    assert BUNDLE.manifest.prompting is not None
    prompting = replace(BUNDLE.manifest.prompting, **pulls)
    backend = backend or standin.StandIn(BUNDLE)
    return Asked(prompting, backend, RATE_HZ, Prompts(BUNDLE, backend))


def controls(bundle: Bundle = BUNDLE, **wanted: float | str | None) -> ControlSnapshot:
    made = Controls(bundle.manifest.controls)
    made.update(wanted)
    return made.snapshot()


def test_wishes_are_those_that_are_set() -> None:
    assert wishes_of(controls()) == Wishes()
    wanted = controls(bpm=100, tonic="A", scale="minor", density=0.25, drums=0, bass=1)
    assert wishes_of(wanted) == Wishes(
        bpm=100, tonic=9, scale=1, density=0.25, families={"drums": False, "bass": True}
    )


# ---- the pull fades -------------------------------------------------------------------------


def test_a_push_is_full_at_once_and_falls_by_e_every_fade() -> None:
    strength = pushed(np.array([0.0, 6.0, 12.0, 1e6]), 2.0, 6.0)
    np.testing.assert_allclose(strength, [3.0, 1 + 2 / np.e, 1 + 2 / np.e**2, 1.0])
    np.testing.assert_array_equal(pushed(np.arange(3.0), 0.0, 6.0), np.ones(3))


def test_the_pull_is_strongest_behind_a_change_and_counts_in_tokens() -> None:
    asked = asked_of(push=1.0, fade_s=2.0)
    asked.hear(controls(density=0.5), FREE, 100)
    lean = asked.leaning(100, 51)
    np.testing.assert_allclose(lean[0], 2 * asked.lean, rtol=1e-6)
    np.testing.assert_allclose(lean[50], (1 + 1 / np.e) * asked.lean, rtol=1e-6)
    np.testing.assert_array_equal(asked.leaning(130, 8), lean[30:38])
    asked.hear(controls(density=0.5), FREE, 200)  # the same again
    assert asked.since == 100
    asked.hear(controls(density=0.9), FREE, 300)
    assert asked.since == 300
    np.testing.assert_allclose(asked.leaning(200, 1)[0], 2 * asked.lean, rtol=1e-6)


def test_what_is_only_heard_is_no_change_of_what_is_asked() -> None:
    asked = asked_of()
    asked.hear(controls(bpm=120), FREE, 10)
    brief = asked.brief
    asked.hear(controls(bpm=120), replace(FREE, key=(2, 1)), 50)
    assert asked.since == 10 and not np.array_equal(asked.brief, brief)
    asked.hear(controls(bpm=120, guidance=3), FREE, 90)
    assert asked.since == 10


def test_another_prompt_is_a_change_and_beginning_anew_is_one() -> None:
    asked, place = asked_of(), np.ones(16, np.float32) / 4
    snapshot = replace(controls(), prompt=place)
    asked.hear(snapshot, FREE, 10)
    asked.hear(replace(snapshot, prompt=place.copy()), FREE, 20)
    assert asked.since == 20
    asked.forget()
    asked.hear(snapshot, FREE, 30)
    assert asked.since == 30


def test_since_when_it_is_asked_is_told_and_taken_up_again() -> None:
    asked, other = asked_of(push=1.0), asked_of(push=1.0)
    now, later = controls(bpm=90), controls(bpm=91)
    asked.hear(now, FREE, 10)
    assert asked.asked_since(now, 40) == 10 and asked.asked_since(later, 40) == 40
    other.recall(later, 40)
    other.hear(later, FREE, 40)
    asked.hear(later, FREE, 40)
    np.testing.assert_array_equal(other.leaning(44, 8), asked.leaning(44, 8))


def test_only_a_change_of_what_is_asked_asks_the_networks() -> None:
    asked, calls = asked_of(), []
    run = asked._lean.run
    asked._lean.run = lambda feeds: calls.append(1) or run(feeds)  # type: ignore[method-assign]
    for guidance in (1.0, 2.0, 3.0):
        asked.hear(controls(bpm=90, guidance=guidance), FREE, 0)
    assert len(calls) == 1


# ---- instruments ----------------------------------------------------------------------------


def test_instruments_that_are_to_play_lie_beside_the_prompt_in_the_joint_space() -> None:
    asked, backend = asked_of(), standin.StandIn(BUNDLE)
    only = {name: float(name == "bass") for name in FAMILIES}
    prompts, size = Prompts(BUNDLE, backend), asked._prompting.embedding
    place = np.eye(size, dtype=np.float32)[0]
    heard = {}
    for prompt in (None, place):
        for wanted in ({}, {"drums": 1}, {"drums": 0}, {"drums": 1, "bass": 1, "keys": 0}, only):
            asked.hear(replace(controls(**wanted), prompt=prompt), FREE, 0)
            playing = [name for name, plays in wanted.items() if plays]
            meant = prompts.with_instruments(prompt, playing, alone=wanted is only)
            told = asked.brief[:size]
            if meant is None:
                assert not told.any()
            else:
                code = {"embedding": meant[None]}
                expected = backend.session("quantise").run(code)["quantised"][0]
                np.testing.assert_array_equal(told, expected)
            heard[prompt is None, tuple(wanted.items())] = asked.prefix.tobytes()
    assert len(set(heard.values())) == 8  # to be silent is no place of its own


def test_a_sound_that_is_held_on_to_keeps_its_place_beside_instruments() -> None:
    asked, size = asked_of(), BUNDLE.manifest.prompting.embedding  # type: ignore[union-attr]
    sound = np.eye(size, dtype=np.float32)[1]
    other = asked_of()
    asked.hear(controls(drums=1), Bearings(sound=sound), 0)
    other.hear(replace(controls(drums=1), prompt=sound), FREE, 0)
    np.testing.assert_array_equal(asked.brief, other.brief)
    np.testing.assert_array_equal(asked.prefix, other.prefix)


# ---- keys -----------------------------------------------------------------------------------


def test_an_asked_key_holds_back_what_does_not_fit_and_favours_nothing() -> None:
    asked = asked_of(Keyed(BUNDLE), pull=0.0, key_pull=2.0)
    assert not asked.fence.any()
    asked.hear(controls(tonic=2, scale="minor"), FREE, 0)
    fitting = (2 * len(SCALES) + 1, 5 * len(SCALES), 7 * len(SCALES) + 2, 0 + 3)  # the notes of F
    assert notes_of(2, "minor") == notes_of(0, "mixolydian") == 5
    most = min(BUNDLE.manifest.prompting.vocabulary, KEYS)  # type: ignore[union-attr]
    expected = [0.0 if token in fitting else asked.fence.min() for token in range(most)]
    np.testing.assert_allclose(asked.fence[:most], expected, atol=1e-6)
    assert asked.fence.min() < -0.5 and not asked.lean.any()


def test_a_fence_neither_fades_nor_follows_the_guidance_and_stands_around_what_is_heard() -> None:
    asked = asked_of(Keyed(BUNDLE), pull=0.0, key_pull=2.0)
    asked.hear(controls(tonic=2, scale="minor"), FREE, 0)
    whole = asked.fence
    asked.hear(controls(guidance=1), replace(FREE, key=(2, 1)), 0)
    fence = asked.fence
    np.testing.assert_allclose(fence, HEARD * whole)
    asked.hear(controls(guidance=3, density=0.5), replace(FREE, key=(2, 1)), 10)
    np.testing.assert_allclose(asked.fence, fence)
    asked.hear(controls(tonic=3), replace(FREE, key=(2, 1)), 20)  # what is asked goes before
    assert not np.array_equal(asked.fence, fence)
    np.testing.assert_allclose(asked.leaning(20, 3)[-1] - asked.lean, asked.fence, atol=1e-6)
    np.testing.assert_allclose(asked.leaning(10**6, 3)[0] - asked.lean, asked.fence, atol=1e-6)
    asked.hear(controls(), FREE, 30)
    assert not asked.fence.any()


def test_a_key_pulls_only_where_there_is_no_fence() -> None:
    fenced, pulled = asked_of(Keyed(BUNDLE), key_pull=2.0), asked_of(Keyed(BUNDLE))
    for asked in (fenced, pulled):
        asked.hear(controls(tonic=2, scale="minor"), FREE, 0)
    assert not fenced.lean.any() and fenced.brief.any()
    assert pulled.lean.any() and not pulled.fence.any()


# ---- beats ----------------------------------------------------------------------------------


def test_a_tempo_holds_back_what_does_not_fall_where_the_clock_stands() -> None:
    backend, clock = Keyed(BUNDLE), Clock(120.0, 3.0, RATE_HZ)
    asked = asked_of(backend, pull=0.0, beat_pull=2.0)
    tokens = np.arange(asked.lean.shape[0])[None]
    said = backend.session("evidence").run({"tokens": tokens})["evidence"][0]
    assert said[:, :SIXTEENTHS].min() < 0 < said[:, :SIXTEENTHS].max()
    places = np.floor(clock.places(np.arange(40, 90))).astype(int)
    assert set(places.tolist()) == set(range(SIXTEENTHS))
    expected = 2.0 * np.minimum(said[:, places].T, 0.0)
    asked.hear(controls(bpm=120), replace(FREE, clock=clock), 0)
    np.testing.assert_allclose(asked.leaning(40, 50), expected, rtol=1e-6)
    np.testing.assert_array_equal(asked.leaning(61, 8), asked.leaning(40, 50)[21:29])
    asked.hear(controls(), replace(FREE, clock=clock), 10)  # only heard
    np.testing.assert_allclose(asked.leaning(40, 50), HEARD * expected, rtol=1e-6)
    asked.hear(controls(), FREE, 20)
    assert not asked.leaning(40, 50).any()


def test_a_tempo_is_as_it_was_where_a_bundle_wants_no_fence() -> None:
    asked = asked_of(pull=0.0)
    asked.hear(controls(bpm=120), replace(FREE, clock=Clock(120.0, 3.0, RATE_HZ)), 0)
    assert not asked.leaning(40, 50).any()


# ---- the compass ----------------------------------------------------------------------------


def test_a_compass_steers_by_what_was_played_as_hard_as_the_key_is_held() -> None:
    asked = asked_of(Keyed(BUNDLE), pull=0.0, key_pull=2.0)
    clear = np.full(40, 5 * len(SCALES))  # all of it in F major, whose notes D minor has
    own, other = 5 * len(SCALES), 0  # F major, C major
    steered = {}
    for part, key in ((1.0, controls(tonic=2, scale="minor")), (HEARD, controls())):
        asked.hear(key, replace(FREE, key=(2, 1)), 0)
        assert asked.notes == 5
        left, steered[part] = (
            asked.leaning(0, 1, played)[0] - asked.fence
            for played in (clear, np.array([other, own, other]))
        )
        assert steered[part][own] > 2 * left[own] and steered[part][other] < 2 * left[other] < 0
        assert np.abs(steered[part]).max() <= part * COURSE * 2.0 * 3.0 + 1e-6
    np.testing.assert_allclose(steered[HEARD], HEARD * steered[1.0], rtol=1e-5)


def test_it_looks_at_what_was_played_since_it_was_asked_and_not_for_a_tonic_alone() -> None:
    asked = asked_of(Keyed(BUNDLE), key_pull=2.0)
    asked.hear(controls(), FREE, 0)
    assert asked.watched(10) == 0
    asked.hear(controls(tonic=2, scale="minor"), FREE, 10)
    assert BUNDLE.manifest.prompting is not None
    most = min(round(COURSE_S * RATE_HZ), BUNDLE.manifest.prompting.language_context)
    assert [asked.watched(now) for now in (10, 15, 10 + most, 10**6)] == [0, 5, most, most]
    asked.hear(controls(tonic=2), FREE, 50)
    assert asked.watched(60) == 0 and asked.notes is None
    free = asked_of(Keyed(BUNDLE))
    free.hear(controls(tonic=2, scale="minor"), FREE, 0)
    assert free.watched(10) == 0
