from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyed import Keyed

from engine.asked import COURSE_S
from engine.backends import standin
from engine.backends.parrot import CONTEXT, VOCABULARY
from engine.backends.sine import PLACE_PERIOD
from engine.bearings import Bearings
from engine.brief import Wishes, brief_of
from engine.bundle import Bundle
from engine.clock import Clock
from engine.controls import Controls, ControlSnapshot
from engine.errors import BundleError
from engine.planner import RUN_TOKENS, Planner
from engine.writer import SLICE_TOKENS

ASKED = standin.bundle(prompting=True)
NONE = np.zeros(0, np.int64)


def planner(seed: int = 0, bundle: Bundle = ASKED) -> Planner:
    return Planner(bundle, standin.StandIn(bundle), seed)


def asked(**wanted: float | str | None) -> ControlSnapshot:
    controls = Controls(ASKED.manifest.controls)
    controls.update(wanted)
    return controls.snapshot()


def prompt(seed: int = 0) -> np.ndarray:
    place = np.random.default_rng(seed).standard_normal(16)
    return (place / np.linalg.norm(place)).astype(np.float32)


def many(wanted: ControlSnapshot, count: int = 40, seed: int = 0) -> list[int]:
    return planner(seed).next(count, wanted).tolist()


def test_the_same_seed_gives_the_same_tokens_however_they_are_asked_for() -> None:
    one, two = planner(3), planner(3)
    whole = one.next(96, asked())
    parts = [two.next(count, asked()) for count in (8, 1, 31, 8, 48)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.dtype == np.int64 and 0 <= whole.min() <= whole.max() < VOCABULARY
    assert len(set(whole.tolist())) > 4
    assert many(asked(), 96, 4) != whole.tolist()
    assert many(asked(seed=3), 96, 0) == whole.tolist()


def keyed() -> Planner:
    assert ASKED.manifest.prompting is not None
    pulled = replace(ASKED.manifest.prompting, key_pull=2.0, beat_pull=2.0)
    bundle = replace(ASKED, manifest=replace(ASKED.manifest, prompting=pulled))
    return Planner(bundle, Keyed(bundle), 3)


def test_so_do_a_compass_and_a_fence_around_the_beat() -> None:
    key = asked(tonic=2, scale="minor", bpm=130)
    one, two = keyed(), keyed()
    whole = one.next(600, key)
    parts = [two.next(count, key) for count in (5, 1, 31, 8, 48, *[4] * 60, 267)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_compass_watches_whole_runs_since_the_key_was_asked() -> None:
    made = keyed()
    watched = []
    leaning = made.asked.leaning
    made.asked.leaning = lambda first, count, played: (  # type: ignore[method-assign]
        watched.append((first, count, played.tolist())) or leaning(first, count, played)  # type: ignore[func-returns-value]
    )  # fmt: skip
    free = made.next(11, asked())
    key = asked(tonic=2, scale="minor")
    tokens = [*free, *made.next(13, key), *made.next(300, key)]
    for first, count, played in watched:
        end = first // RUN_TOKENS * RUN_TOKENS
        start = max(11, end - min(CONTEXT, round(COURSE_S * made._rate_hz)))
        assert played == ([] if first < 11 else tokens[start:end]), first
        assert (first + count - 1) // RUN_TOKENS == first // RUN_TOKENS


@settings(max_examples=15)
@given(st.integers(0, 3 * CONTEXT), st.integers(0, 1000))
def test_reading_a_past_at_once_equals_having_written_it(count: int, first: int) -> None:
    """Any past, also longer than the context: the same logits as token by token."""
    wanted = asked(focus=0)
    tokens = np.random.default_rng(count).integers(0, VOCABULARY, count)
    whole, single = planner(), planner()
    whole.prime(tokens, first)
    held = whole.bearings
    seen = whole.next(2 * CONTEXT, wanted)
    kept = tokens[-CONTEXT:]
    single.prime(kept[:1], first - max(len(kept) - 1, 0), held)
    if len(kept) > 1:
        single.asked.hear(wanted, held, 0)
        single.writer.ask(single.asked)
        single._read()
        for token in kept[1:]:
            single._write(1, wanted)
            single._past[-1] = single._last = int(token)
    np.testing.assert_array_equal(single.next(2 * CONTEXT, wanted), seen)


def test_what_is_made_in_a_rest_is_what_would_be_written() -> None:
    """Whatever number of tokens, and whatever seed, is asked for then."""
    rested, restless = planner(), planner()
    for count, seed in ((8, 0), (8, 0), (3, 0), (12, 5), (8, 5)):
        rested.rest(8)
        np.testing.assert_array_equal(
            rested.next(count, asked(seed=seed)), restless.next(count, asked(seed=seed))
        )


def test_a_long_past_is_read_in_slices() -> None:
    bundle = long_context(SLICE_TOKENS + 40)
    tokens = np.arange(SLICE_TOKENS + 30) % VOCABULARY
    sizes = []
    one = planner(bundle=bundle)
    run = one.writer.session.run
    one.writer.session.run = lambda feeds, *out: (
        sizes.append(feeds["tokens"].shape[1]) or run(feeds, *out)
    )
    one.prime(tokens)
    one.next(1, asked())
    assert sizes == [SLICE_TOKENS, 29]


def long_context(length: int) -> Bundle:
    manifest = ASKED.manifest
    sizes = lambda shape: tuple(length if size == CONTEXT else size for size in shape)  # noqa: E731
    resized = {
        name: replace(
            manifest.graphs[name],
            inputs=tuple(replace(t, shape=sizes(t.shape)) for t in manifest.graphs[name].inputs),
            states=tuple(replace(t, shape=sizes(t.shape)) for t in manifest.graphs[name].states),
        )
        for name in ("language", "write")
    }
    prompting = replace(manifest.prompting, language_context=length)
    graphs = {**manifest.graphs, **resized}
    return replace(ASKED, manifest=replace(manifest, graphs=graphs, prompting=prompting))


def test_the_past_decides_what_follows() -> None:
    one, two = planner(), planner()
    one.prime(np.full(20, 3))
    two.prime(np.full(20, 30))
    assert one.next(16, asked()).tolist() != two.next(16, asked()).tolist()


def test_going_on_behind_what_it_wrote_itself() -> None:
    one = planner(5)
    made = one.next(16, asked())
    np.testing.assert_array_equal(one.past(16), made)
    np.testing.assert_array_equal(one.past(8), made[:8])
    assert one.past(0).shape == (0,)
    two = planner(5)
    two.prime(made[-CONTEXT:], 16)
    following = two.next(8, asked())
    assert following.shape == (8,)
    two.prime(made[-CONTEXT:], 16)
    np.testing.assert_array_equal(two.next(8, asked()), following)


def test_nothing_grows() -> None:
    one = planner()
    one.next(3 * PLACE_PERIOD, asked())
    assert len(one._past) == 2 * CONTEXT
    assert one.past(10_000).shape[0] == CONTEXT
    assert one.writer.filled.min() == 1.0


# ---- what is asked --------------------------------------------------------------------------


def test_a_prompt_a_wish_and_their_lack_make_other_music() -> None:
    free = many(asked())
    with_prompt = replace(asked(), prompt=prompt())
    assert (
        len({tuple(many(wanted)) for wanted in (asked(bpm=70), asked(drums=0), with_prompt)}) == 3
    )
    assert free not in (many(asked(bpm=70)), many(with_prompt))


def test_what_is_asked_is_read_only_when_it_changes() -> None:
    backend = standin.StandIn(ASKED)
    one = Planner(ASKED, backend)
    calls = []
    run = one.asked._prefix.run
    one.asked._prefix.run = lambda feeds: calls.append(feeds["codes"].copy()) or run(feeds)
    controls = Controls(ASKED.manifest.controls)
    one.next(8, controls.snapshot())
    controls.set_prompt(prompt())
    for bpm in (80, 90, 100):
        controls.set("bpm", bpm)
        one.next(8, controls.snapshot())
    assert len(calls) == 1 and calls[0].max() < 256
    controls.set_prompt(None)
    one.next(8, controls.snapshot())
    assert len(calls) == 2 and (calls[1] == 256).all()


def test_a_plan_keeps_what_was_asked_when_it_was_made() -> None:
    one = planner()
    first = one.plan(8, asked(bpm=90, guidance=2))
    before = first.brief.copy()
    second = one.plan(8, asked(bpm=200, guidance=3))
    np.testing.assert_array_equal(first.brief, before)
    np.testing.assert_array_equal(first.brief, brief_of(None, 16, Wishes(bpm=90)))
    assert (first.guidance, second.guidance) == (2.0, 3.0)
    assert not np.array_equal(first.brief, second.brief)


def test_the_brief_holds_the_quantised_prompt() -> None:
    backend = standin.StandIn(ASKED)
    snapshot = replace(asked(), prompt=prompt())
    made = backend.session("quantise").run({"embedding": prompt()[None]})["quantised"][0]
    np.testing.assert_array_equal(planner().plan(8, snapshot).brief[:16], made)


def test_a_broken_language_model_is_told() -> None:
    backend = standin.StandIn(ASKED, standin.Faults("write", poison="nan"))
    with pytest.raises(BundleError, match="language: its logits are not finite"):
        Planner(ASKED, backend).next(1, asked())
    one = planner()
    one.prime(NONE)
    assert one.next(1, asked()).shape == (1,)


def beating(count: int, bpm: float = 120.0) -> np.ndarray:
    """Tokens of the stand-in that fall on the places of a bar."""
    rate_hz = planner()._rate_hz
    return Clock(bpm, 0.0, rate_hz).places(np.arange(-count, 0)).astype(np.int64)


def test_a_take_s_beat_is_heard_and_kept_until_another_prompt() -> None:
    one = planner()
    one.prime(beating(CONTEXT * 2, 100.0))
    assert one.bearings.clock is None  # too short for a tempo
    rate_hz = one._rate_hz
    told = replace(Bearings(0), clock=Clock(100.0, 0.0, rate_hz), key=(2, 1))
    one.prime(NONE, 0, told)
    one.next(8, asked())
    assert one.bearings.clock == told.clock
    controls = Controls(ASKED.manifest.controls)
    controls.set_prompt(prompt())
    one.next(8, controls.snapshot())
    assert one.bearings.clock is None and one.bearings.since == 8


def test_a_tempo_that_is_asked_is_a_clock_from_the_next_token_on() -> None:
    one = planner()
    one.next(16, asked())
    assert one.bearings.clock is None
    one.next(8, asked(bpm=150))
    clock = one.bearings.clock
    assert clock is not None and clock.bpm == 150 and clock.places(np.array([16]))[0] < 1
    one.next(8, asked())  # set free again, it stays
    assert one.bearings.clock == clock


def test_a_key_that_is_asked_is_kept_when_it_is_set_free_again() -> None:
    one = planner()
    one.prime(NONE, 0, replace(Bearings(0), key=(2, 1)))
    one.next(8, asked(tonic="A"))
    assert one.bearings.key == (2, 1)  # half a key is none
    one.next(8, asked(tonic="A", scale="dorian"))
    held = one.bearings
    assert held.key == (9, 2)
    one.next(8, asked())
    assert one.bearings is held


def test_the_clock_changes_what_is_written() -> None:
    free, clocked, other = (planner() for _ in range(3))
    clocked.prime(NONE, 0, replace(Bearings(0), clock=Clock(120.0, 0.0, 25.0)))
    other.prime(NONE, 0, replace(Bearings(0), clock=Clock(120.0, 8.0, 25.0)))
    said = [tuple(one.next(24, asked())) for one in (free, clocked, other)]
    assert len(set(said)) == 3


def test_only_what_is_asked_is_pushed_and_guidance_says_how_much() -> None:
    one = planner()
    one.prime(NONE, 0, replace(Bearings(0), key=(2, 1), sound=prompt(4)))
    one.next(1, asked())
    assert not one.asked.lean.any() and one.asked.brief.any()
    one.next(1, asked(density=0.5, guidance=1))
    once = one.asked.lean.copy()
    one.next(1, asked(density=0.5, guidance=2))
    assert once.any()
    np.testing.assert_allclose(one.asked.lean, 2 * once, rtol=1e-6)


def test_a_take_s_sound_stands_for_a_prompt_while_there_is_none() -> None:
    one, other = planner(), planner()
    one.prime(NONE, 0, sound=prompt(1))
    controls = Controls(ASKED.manifest.controls)
    controls.set_prompt(prompt(1))
    one.next(1, asked())
    other.next(1, controls.snapshot())
    np.testing.assert_array_equal(one.asked.prefix, other.asked.prefix)
