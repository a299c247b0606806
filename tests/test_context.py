from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.angles import schedule
from engine.backends import standin
from engine.backends.sine import key, look_back, place_of, velocity_of
from engine.context import CachedContext, Context, WindowContext, open_context
from engine.lockstep import alone, together
from engine.slots import Run, Slots
from engine.told import guide
from engine.window import Plan, Window, noise

FRAMES, DIM, CHUNKS, ANGLE = 16, 8, 6, 0.02


def cached(depth: int = 1, period: int | None = None) -> CachedContext:
    bundle = standin.bundle(context_chunks=CHUNKS, steps=12, depth=depth)
    return CachedContext(bundle, standin.StandIn(bundle), FRAMES)


def chunk(index: int) -> np.ndarray:
    return noise(3, index, FRAMES, DIM)


def flight(first: int, angles: list[float]) -> Window:
    window = Window(len(angles), FRAMES, DIM, ANGLE)
    for k, angle in enumerate(angles):
        window.append(chunk(100 + first + k), first + k, k + 1, angle, 0)
    return window


def latents(window: Window) -> np.ndarray:
    return window.latents_of(window.chunks)


def planned(window: Window, plans: Sequence[Plan]) -> Window:
    for one, plan in zip(window.chunks, plans, strict=True):
        one.plan = plan
    return window


def velocity(context: Context, window: Window) -> np.ndarray:
    """What the context finds for the chunks in flight, from one pass of theirs to the angle 0."""
    went = deepcopy(window)
    flying = went.flying
    for chunk in flying:
        chunk.rung = 1
    alone(context.descend(went, np.array([np.pi / 2, 0.0]), 1))
    omega = np.array([chunk.angle for chunk in window.flying])[:, None, None]
    z = window.latents_of(window.flying).astype(np.float64)
    return (np.cos(omega) * z - went.latents_of(flying)) / np.sin(omega)


def by_hand(past: list[tuple[int, np.ndarray]], window: Window) -> np.ndarray:
    """The same network without rings: all finished chunks, each with its index, in a list."""
    past = past[-CHUNKS:]
    found = []
    flying = [(chunk.index, chunk.latents.astype(float)) for chunk in window.flying]
    angles = [chunk.angle for chunk in window.flying]
    for i, (index, z) in enumerate(flying):
        seen = [(n, c.astype(float), ANGLE) for n, c in past]
        seen += [(n, c, a) for (n, c), a in zip(flying[:i], angles[:i], strict=True)]
        places = place_of(np.array([n for n, _, _ in seen], np.int64))
        keys = np.zeros((2, 0, DIM))
        if seen:
            stacked, at = np.stack([c for _, c, _ in seen]), np.array([a for _, _, a in seen])
            keys = np.stack([key(stacked, at, block) for block in range(2)])
        tail = seen[-1][1][-2:] if seen else np.zeros((2, DIM))
        context = look_back(place_of(np.array([index]))[0], places, keys)
        found.append(velocity_of(z, angles[i], context, tail))
    return np.stack(found)


@given(st.integers(0, 20), st.integers(-3, 200), st.integers(1, 4), st.randoms())
def test_the_ring_shows_what_a_list_of_all_chunks_would(
    finished: int, first: int, depth: int, random
) -> None:
    """Any history, any chunk index (also beyond the position period), any chunks in flight."""
    context = cached(4)
    past = [(first + k, chunk(first + k)) for k in range(finished)]
    for index, latents in past:
        context.commit(latents[None], index)
    angles = sorted(random.uniform(0.1, 1.5) for _ in range(depth))
    window = flight(first + finished, angles)
    np.testing.assert_allclose(velocity(context, window), by_hand(past, window), atol=2e-5)


@given(st.integers(1, CHUNKS), st.integers(-10, 70))
def test_committing_many_at_once_equals_one_by_one(count: int, first: int) -> None:
    chunks = np.stack([chunk(k) for k in range(count)])
    together, single = cached(), cached()
    together.commit(chunks, first)
    for k in range(count):
        single.commit(chunks[k : k + 1], first + k)
    window = flight(first + count, [0.8])
    np.testing.assert_allclose(velocity(together, window), velocity(single, window), atol=1e-5)


def test_a_pass_leaves_no_trace() -> None:
    context = cached()
    context.commit(chunk(0)[None], 0)
    window = flight(1, [0.8])
    velocity(context, window)  # keeps what waited
    first = velocity(context, window)
    for angle in (1.5, 1.0, 0.4):
        velocity(context, flight(1, [angle]))
    np.testing.assert_array_equal(velocity(context, window), first)


def test_a_reset_forgets_everything() -> None:
    context = cached()
    window = flight(7, [0.8])
    empty = velocity(context, window)
    context.commit(chunk(6)[None], 6)
    assert np.abs(velocity(context, window) - empty).max() > 1e-3
    context.reset()
    np.testing.assert_array_equal(velocity(context, window), empty)


def test_a_single_chunk_is_committed_by_the_pass_behind_it() -> None:
    context, runs = cached(), []
    spied = context._slots.run_of

    def run_of(chunks: int) -> Run:
        runs.append(chunks)
        return spied(chunks)

    context._slots.run_of = run_of
    context.commit(chunk(0)[None], 0)
    assert runs == []
    window = flight(1, [0.8])
    first = velocity(context, window)
    np.testing.assert_allclose(velocity(context, window), first, atol=1e-6)
    assert runs == [2, 1]


def test_the_slot_that_a_commit_takes_is_hidden_from_those_behind_it() -> None:
    context = cached()
    past = [(k, chunk(k)) for k in range(CHUNKS + 1)]
    context.commit(np.stack([latents for _, latents in past[:-1]]), 0)
    context.commit(past[-1][1][None], CHUNKS)
    window = flight(CHUNKS + 1, [0.8])
    np.testing.assert_allclose(velocity(context, window), by_hand(past, window), atol=2e-5)


def test_what_is_kept_is_all_there_is() -> None:
    """Arrays written into another context make it go on the same, also while a chunk waits."""
    one, two = asked_context(), asked_context()
    one.commit(chunk(3)[None], 3, [asking(token=9)])
    for name, array in one.arrays().items():
        two.arrays()[name][...] = array
    window = planned(flight(4, [0.7]), [asking()])
    np.testing.assert_array_equal(velocity(one, window), velocity(two, window))


def test_streams_that_share_slots_do_not_touch_each_other() -> None:
    slots = Slots(ASKED, standin.StandIn(ASKED), FRAMES, rows=3)
    shared = [CachedContext(ASKED, standin.StandIn(ASKED), FRAMES, slots) for _ in range(3)]
    own = [CachedContext(ASKED, standin.StandIn(ASKED), FRAMES) for _ in range(3)]
    for k in range(5):
        windows = []
        for row in range(3):
            window = flight(k, [0.4 + 0.2 * row])
            window.chunks[0].plan, window.chunks[0].rung = asking(token=3 * row + k), 3
            for context in (shared[row], own[row]):
                if k > row:
                    context.commit(chunk(10 * row + k)[None], k - 1, [asking(token=k)])
            windows.append(window)
        alone_windows = [deepcopy(window) for window in windows]
        together(
            context.descend(window, schedule(4), 2)
            for context, window in zip(shared, windows, strict=True)
        )
        for row in range(3):
            alone(own[row].descend(alone_windows[row], schedule(4), 2))
            np.testing.assert_array_equal(latents(windows[row]), latents(alone_windows[row]))


def test_the_window_is_run_whole_with_the_angle_of_every_frame() -> None:
    bundle = standin.bundle(kind="window", context_chunks=3)
    backend = standin.StandIn(bundle)
    context = open_context(bundle, backend, FRAMES, 1)
    assert isinstance(context, WindowContext)
    window = Window(3, FRAMES, DIM, ANGLE)
    for index, (rung, angle) in enumerate([(0, 0.0), (3, 0.7), (0, 0.0)]):
        window.append(chunk(index), index, rung, angle, 0)
    angles = np.repeat(np.array([ANGLE, 0.7, ANGLE], np.float32), FRAMES)[None]
    feeds = {"latents": latents(window).reshape(1, -1, DIM), "angle": angles}
    whole = backend.session("velocity").run(feeds)["velocity"].reshape(3, FRAMES, DIM)
    np.testing.assert_allclose(velocity(context, window), whole[1:2], atol=1e-6)


def test_the_manifest_says_which_context() -> None:
    bundle = standin.bundle()
    assert isinstance(open_context(bundle, standin.StandIn(bundle), FRAMES, 1), CachedContext)


# ---- what is asked ------------------------------------------------------------------------------

ASKED = standin.bundle(context_chunks=CHUNKS, steps=12, depth=2, prompting=True)
BRIEF = ASKED.manifest.prompting.brief_size
NOTHING = Plan(np.full(8, 32), np.zeros(BRIEF, np.float32))


def asking(guidance: float = 1.0, token: int = 30) -> Plan:
    return Plan(np.full(8, token), np.full(BRIEF, 0.2, np.float32), guidance)


def asked_context() -> CachedContext:
    context = CachedContext(ASKED, standin.StandIn(ASKED), FRAMES)
    for k in range(3):
        context.commit(chunk(k)[None], k, [asking(token=5 * k)])
    return context


def asked_velocity(*plans: Plan) -> np.ndarray:
    window = planned(flight(3, [0.7, 1.2][: len(plans)]), list(plans))
    return velocity(asked_context(), window)


def test_guidance_leads_away_from_what_is_not_asked() -> None:
    asked, absent = asked_velocity(asking()), asked_velocity(NOTHING)
    assert np.abs(asked - absent).max() > 0.1
    for guidance in (2.0, 5.0):
        np.testing.assert_allclose(
            asked_velocity(asking(guidance)), absent + guidance * (asked - absent), atol=1e-5
        )


def test_each_chunk_in_flight_has_its_own_plan_and_guidance() -> None:
    first, second = asking(token=3), asking(token=28)
    asked, absent = asked_velocity(first, second), asked_velocity(NOTHING, NOTHING)
    guided = asked_velocity(replace(first, guidance=3.0), second)
    np.testing.assert_allclose(guided[0], absent[0] + 3 * (asked[0] - absent[0]), atol=1e-5)
    np.testing.assert_allclose(guided[1], asked[1], atol=1e-5)


def test_without_guidance_a_chunk_runs_once() -> None:
    context = asked_context()
    velocity(context, asked_flight(1.0))  # and what waited is kept
    chunks = []
    for guidance in (1.0, 2.0, 1.0):
        run, _ = next(context.descend(asked_flight(guidance), schedule(4), 1))
        assert isinstance(run, Run)
        chunks.append(run.chunks)
    assert chunks == [1, 2, 1]


def asked_flight(guidance: float) -> Window:
    window = planned(flight(3, [0.7]), [asking(guidance)])
    return window


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("waits", [False, True])
def test_passes_in_one_run_are_passes_one_by_one(guidance: float, waits: bool) -> None:
    """All of them, behind a finished chunk that waits; one by one without it, and with guidance."""
    found, runs = [], []
    kept: dict[str, np.ndarray] = {}
    for descends in (False, True):
        made = standin.bundle(prompting=True, depth=2, context_chunks=CHUNKS, descends=descends)
        context = CachedContext(made, standin.StandIn(made), FRAMES)
        for k in range(3):
            context.commit(chunk(k)[None], k, [asking(token=k)])
        if not waits:
            velocity(context, asked_flight(1.0))  # keeps what waited
        window = flight(3, [0.9, 1.4])
        planned(window, [asking(guidance, token=7), asking(token=9)])
        for one, rung in zip(window.chunks, (4, 6), strict=True):
            one.rung = rung
        descent = context.descend(window, schedule(8), 3)
        runs.append(0)
        with suppress(StopIteration):
            while True:
                run, row = next(descent)
                run.go([row])
                runs[-1] += 1
        found.append(window)
        for name, array in context.arrays().items():
            kept.setdefault(name, array)
            np.testing.assert_array_equal(kept[name], array, name)
    np.testing.assert_allclose(latents(found[0]), latents(found[1]), atol=1e-5)
    assert found[0].rungs() == found[1].rungs()
    assert [one.rung for one in found[1].chunks] == [1, 3]
    assert runs == [3, 1 if waits and guidance == 1 else 3]


def test_a_commit_takes_what_was_asked_whatever_ran_before() -> None:
    """The rings hold the plan's own tokens; passes in between leave no trace."""
    one, two = asked_context(), asked_context()
    window = planned(flight(3, [0.7]), [asking(4.0)])
    velocity(one, window)
    for context in (one, two):
        context.commit(chunk(3)[None], 3, [asking()])
    window = planned(flight(4, [0.7]), [asking()])
    np.testing.assert_array_equal(velocity(one, window), velocity(two, window))


def test_committing_many_plans_at_once_equals_one_by_one() -> None:
    chunks, plans = np.stack([chunk(k) for k in range(3)]), [asking(token=5 * k) for k in range(3)]
    together = CachedContext(ASKED, standin.StandIn(ASKED), FRAMES)
    together.commit(chunks, 0, plans)
    window = planned(flight(3, [0.7]), [asking()])
    expected = velocity(asked_context(), window)
    np.testing.assert_allclose(velocity(together, window), expected, atol=1e-6)


def test_guiding_is_a_straight_line_through_both() -> None:
    velocity = np.stack([np.full((2, 1, 1), 3.0), np.full((2, 1, 1), 1.0)]).astype(np.float32)
    np.testing.assert_allclose(guide(velocity, [1.0, 2.5]).ravel(), [3.0, 6.0])
