import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.angles import schedule
from engine.backends import standin
from engine.bundle import Bundle
from engine.controls import Controls, ControlSnapshot
from engine.decoder import StreamDecoder
from engine.errors import BundleError, TakeError, UsageError
from engine.generator import Generator
from engine.listener import mirrored
from engine.spec import LadderSpec
from engine.window import noise

LADDERS = [(10, 1), (10, 2), (10, 5), (6, 3), (4, 4), (1, 1), (3, 1)]


def make(
    kind: str = "cached", steps: int = 10, depth: int = 1, seed: int = 0, chunks: int = 6
) -> Generator:
    bundle = standin.bundle(kind=kind, steps=steps, depth=depth, context_chunks=chunks)
    return Generator(bundle, standin.StandIn(bundle), seed=seed)


def values(**changed: float) -> ControlSnapshot:
    controls = Controls(standin.bundle().manifest.controls)
    return replace(controls.snapshot(), values={**controls.snapshot().values, **changed})


def defaults(generator: Generator) -> ControlSnapshot:
    return Controls(generator.bundle.manifest.controls).snapshot()


def latents_of(generator: Generator, blocks: int, **changed: float) -> np.ndarray:
    snapshot = values(steps=generator.ladder.steps, **changed)
    return np.stack([generator.tick(snapshot).latents for _ in range(blocks)])


# ---- the ladder ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cached", "window"])
@pytest.mark.parametrize("ladder", LADDERS)
@pytest.mark.parametrize("primed", [False, True])
def test_any_ladder_plays_in_both_contexts(
    kind: str, ladder: tuple[int, int], primed: bool, take: np.ndarray
) -> None:
    generator = make(kind, *ladder)
    generator.prime(take if primed else None)
    snapshot = defaults(generator)
    blocks = [generator.tick(snapshot) for _ in range(12)]
    assert [block.index for block in blocks] == list(range(12))
    assert [block.position_samples for block in blocks] == [7680 * n for n in range(12)]
    assert all(block.audio.shape == (7680, 1) for block in blocks)
    assert all(0.02 < block.audio.std() < 1 for block in blocks)
    assert all(np.isfinite(block.latents).all() for block in blocks)
    assert blocks[0].passes == ladder[0]
    assert {block.passes for block in blocks[-4:]} == {ladder[0] // ladder[1]}


@pytest.mark.parametrize("ladder", LADDERS)
def test_chunks_in_flight_stand_a_gap_apart(ladder: tuple[int, int]) -> None:
    steps, depth = ladder
    generator = make("cached", steps, depth)
    for _ in range(8):
        block = generator.tick(defaults(generator))
    table = schedule(steps)
    gap = steps // depth
    flying = [(block.index + k, table[steps - k * gap]) for k in range(1, depth)]
    finished = [(block.index - k, 0.02) for k in range(5, -1, -1)]
    assert list(block.rungs)[-len(finished + flying) :] == finished + flying


def by_algorithm_2(seed: int, blocks: int, chunks: int, past: np.ndarray) -> np.ndarray:
    """Algorithm 2 of the paper (with trap 4 mended), written down plainly: window, J = 1."""
    bundle = standin.bundle(kind="window", context_chunks=chunks)
    network = standin.StandIn(bundle).session("velocity")
    table = schedule(10)
    window = list(past)
    made = []
    for index in range(blocks):
        window = [*window[-(chunks - 1) :], noise(seed, index, 16, 8)]
        for start, end in pairwise(table):
            angle = np.full((chunks, 16), 0.02, np.float32)
            angle[-1] = start
            feeds = {"latents": np.concatenate(window)[None], "angle": angle.reshape(1, -1)}
            velocity = network.run(feeds)["velocity"][0, -16:]
            omega = float(start - end)
            window[-1] = (math.cos(omega) * window[-1] - math.sin(omega) * velocity).astype("f4")
        made.append(window[-1])
    return np.stack(made)


def test_a_window_with_one_chunk_in_flight_is_algorithm_2() -> None:
    generator = make("window", seed=5, chunks=4)
    past = np.random.default_rng(0).standard_normal((3, 16, 8)).astype(np.float32)
    generator.resume(past, 0)
    np.testing.assert_allclose(latents_of(generator, 6), by_algorithm_2(5, 6, 4, past), atol=1e-5)


def test_a_window_without_a_past_is_filled_at_once() -> None:
    generator = make("window", chunks=4)
    snapshot = defaults(generator)
    passes = [generator.tick(snapshot).passes for _ in range(6)]
    assert passes == [10, 0, 0, 0, 10, 10]


def test_steps_may_change_at_any_tick() -> None:
    for kind, depth in (("cached", 1), ("cached", 2), ("window", 2)):
        generator = make(kind, 10, depth)
        for steps in (10, 4, 2, 20, 7, 1):
            block = generator.tick(values(steps=steps))
            assert block.steps == -(-steps // depth) * depth
            assert np.isfinite(block.audio).all()


def test_fewer_steps_by_order_override_the_control() -> None:
    generator = make()
    assert generator.tick(values(steps=8), steps=2).passes == 2
    assert generator.tick(values(steps=8)).passes == 8


# ---- same seed, same samples --------------------------------------------------------------------


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.sampled_from(LADDERS), st.sampled_from(["cached", "window"]))
def test_the_same_seed_gives_the_same_samples(
    seed: int, ladder: tuple[int, int], kind: str
) -> None:
    one, two = make(kind, *ladder, seed=seed), make(kind, *ladder, seed=seed)
    for _ in range(4):
        a, b = one.tick(defaults(one)), two.tick(defaults(two))
        np.testing.assert_array_equal(a.audio, b.audio)


def test_priming_starts_anew(take: np.ndarray) -> None:
    generator = make()
    generator.prime(take)
    first = latents_of(generator, 4)
    generator.tick(values(steps=3))
    generator.prime(take)
    np.testing.assert_array_equal(latents_of(generator, 4), first)


@pytest.mark.parametrize("ladder", LADDERS)
def test_what_is_made_in_a_rest_is_what_would_be_made_in_a_tick(ladder: tuple[int, int]) -> None:
    """Also where the seed turns, and where chunks are given up, between a rest and a tick."""
    rested, restless = make("cached", *ladder), make("cached", *ladder)
    for index, seed in enumerate((0, 0, 7, 7, 0)):
        for generator in (rested, restless):
            if index == 3:
                generator.recover()
        one, two = latents_of(rested, 1, seed=seed), latents_of(restless, 1, seed=seed)
        np.testing.assert_array_equal(one, two)
        rested.rest()


def test_the_seed_of_the_control_is_added_to_that_of_the_start() -> None:
    np.testing.assert_array_equal(latents_of(make(seed=5), 3), latents_of(make(seed=2), 3, seed=3))
    assert not np.allclose(latents_of(make(seed=5), 3), latents_of(make(seed=6), 3))


# ---- controls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ladder", "delay"), [((10, 1), 0), ((10, 2), 1), ((10, 5), 4)])
def test_an_idea_reaches_the_next_chunk_that_enters(ladder: tuple[int, int], delay: int) -> None:
    one, two = make("cached", *ladder), make("cached", *ladder)
    for _ in range(3):
        one.tick(values()), two.tick(values())
    idea = replace(values(seed=9), revision=1)
    for ticks in range(delay + 1):
        a, b = one.tick(values()), two.tick(idea)
        assert np.array_equal(a.latents, b.latents) is (ticks < delay)
        assert b.control_revision == int(ticks == delay)


def test_temperature_scales_the_noise() -> None:
    generator = make(steps=1)
    seen = []
    descend = generator._context.descend
    generator._context.descend = lambda w, *how: (
        seen.append(w.chunks[0].latents.copy()) or descend(w, *how)
    )
    generator.tick(values(temperature=0.8, steps=1))
    np.testing.assert_allclose(seen[0], 0.8 * noise(0, 0, 16, 8), rtol=1e-6)


# ---- the past -----------------------------------------------------------------------------------


@given(st.integers(1, 60000))
@settings(max_examples=15)
def test_a_take_of_any_length_is_continued(samples: int) -> None:
    generator = make()
    time_s = np.arange(samples) / 24000
    generator.prime((0.3 * np.sin(2 * np.pi * 300 * time_s)).astype(np.float32)[:, None])
    assert generator.history().shape == (min(6, max(1, samples // 7680)), 16, 8)
    assert np.isfinite(generator.tick(defaults(generator)).audio).all()


def test_the_end_of_a_take_is_what_is_continued(take: np.ndarray) -> None:
    generator = make()
    generator.prime(take)
    other = np.random.default_rng(0).standard_normal((99999, 1)).astype(np.float32)
    expected = latents_of(generator, 2)
    generator.prime(np.concatenate([0.1 * other, take]))
    np.testing.assert_allclose(latents_of(generator, 2), expected, atol=1e-4)
    generator.prime(np.concatenate([take, 0.1 * other]))
    assert np.abs(latents_of(generator, 2) - expected).max() > 0.05


def test_a_short_take_is_mirrored_not_padded_with_silence() -> None:
    time_s = np.arange(2400) / 24000
    tone = (0.3 * np.sin(2 * np.pi * 300 * time_s)).astype(np.float32)[:, None]
    generator = make()
    generator.prime(tone)
    level = generator.history()[0, :, 1]
    assert level.min() > 0.5 * level.max()


@pytest.mark.parametrize("chunks", [1, 3, 6])
def test_the_join_is_one_decode(take: np.ndarray, chunks: int) -> None:
    """What was decoded of the past and the first blocks are one stream, to the sample."""
    generator = make()
    generator.prime(take[-7680 * chunks :])
    past = generator.history()
    blocks = [generator.tick(defaults(generator)) for _ in range(2)]
    z = np.concatenate([past.reshape(-1, 8)[-96:], *(block.latents for block in blocks)])
    whole = StreamDecoder(generator.bundle, standin.StandIn(generator.bundle), len(z)).decode(z)
    stream = np.concatenate([generator.lead, *(block.audio for block in blocks)])
    np.testing.assert_allclose(stream, whole, atol=1e-5)


def test_the_take_is_heard_in_what_follows() -> None:
    time_s = np.arange(72000) / 24000
    streams = []
    for hz in (130.0, 400.0):
        generator = make(seed=1)
        generator.prime((0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[:, None])
        streams.append(latents_of(generator, 2))
    assert streams[0][:, :, 0].mean() < streams[1][:, :, 0].mean() - 0.5


@pytest.mark.parametrize(
    "audio", [np.zeros((0, 1), "f4"), np.zeros((10, 2), "f4"), np.zeros(10, "f4")]
)
def test_a_take_of_the_wrong_shape_is_refused(generator: Generator, audio: np.ndarray) -> None:
    with pytest.raises(TakeError, match="shape"):
        generator.prime(audio)


def test_a_take_that_is_not_finite_is_refused(generator: Generator, take: np.ndarray) -> None:
    take[7] = np.nan
    with pytest.raises(TakeError, match="finite"):
        generator.prime(take)


def test_places_outside_are_mirrored_inside() -> None:
    np.testing.assert_array_equal(
        mirrored(np.arange(-4, 7), 3), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0][-11:]
    )
    assert (mirrored(np.arange(-9, 9), 1) == 0).all()


# ---- trouble ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cached", "window"])
@pytest.mark.parametrize("graph", ["velocity", "decoder"])
@pytest.mark.parametrize("depth", [1, 2])
def test_it_recovers_from_broken_networks(kind: str, graph: str, depth: int) -> None:
    bundle = standin.bundle(kind=kind, depth=depth)
    backend = standin.StandIn(bundle)
    generator = Generator(bundle, backend)
    good = [generator.tick(values()).latents for _ in range(8)]
    backend.faults.graph, backend.faults.poison = graph, "nan"
    assert not np.isfinite(generator.tick(values()).peak)
    backend.faults.poison = ""
    generator.recover()
    np.testing.assert_array_equal(generator.history()[-3:], good[-3:])
    blocks = [generator.tick(values()) for _ in range(3)]
    assert [block.index for block in blocks] == [9, 10, 11]
    assert all(np.isfinite(block.audio).all() for block in blocks)


def test_it_recovers_from_a_tick_that_failed() -> None:
    bundle = standin.bundle(depth=2)
    backend = standin.StandIn(bundle)
    generator = Generator(bundle, backend)
    good = [generator.tick(values()).latents for _ in range(8)]
    backend.faults.graph, backend.faults.error = "velocity", MemoryError("gone")
    with pytest.raises(MemoryError):
        generator.tick(values())
    backend.faults.error = None
    generator.recover()
    np.testing.assert_array_equal(generator.history()[-3:], good[-3:])
    assert np.isfinite(generator.tick(values()).audio).all()


def test_another_generator_goes_on_where_one_stopped() -> None:
    one, two = make(seed=4), make(seed=4)
    latents_of(one, 7)
    made = latents_of(make(seed=4), 7)
    np.testing.assert_array_equal(one.history(), made[:6])  # the last block is on trial
    two.resume(made, 7)
    np.testing.assert_allclose(latents_of(two, 3), latents_of(one, 3), atol=1e-5)


# ---- bundles and sizes --------------------------------------------------------------------------


def test_the_performer_chooses_among_the_sizes_of_the_bundle() -> None:
    bundle = standin.bundle().at(8)
    generator = Generator(bundle, standin.StandIn(bundle))
    assert generator.tick(defaults(generator)).audio.shape == (3840, 1)
    assert generator.chunk_s == 0.16


def test_another_ladder_may_be_asked_for() -> None:
    bundle = standin.bundle()
    generator = Generator(bundle, standin.StandIn(bundle), ladder=LadderSpec(6, 3))
    assert [generator.tick(values(steps=6)).passes for _ in range(3)] == [6, 2, 2]
    window = standin.bundle(kind="window", context_chunks=2)
    with pytest.raises(UsageError, match="window of 2 chunks cannot hold 5"):
        Generator(window, standin.StandIn(window), ladder=LadderSpec(10, 5))


def test_a_bundle_with_conditions_is_refused() -> None:
    bundle = standin.bundle()
    needy = Bundle(None, replace(bundle.manifest, conditions=("tokens",)), "")
    with pytest.raises(BundleError, match="needs tokens"):
        Generator(needy, standin.StandIn(bundle))


def test_a_bundle_that_wants_a_guide_is_refused(asked_bundle: Bundle) -> None:
    names = (*asked_bundle.manifest.conditions, "guide")
    needy = replace(asked_bundle, manifest=replace(asked_bundle.manifest, conditions=names))
    with pytest.raises(BundleError, match="needs guide: this engine has none to give"):
        Generator(needy, standin.StandIn(asked_bundle))


def test_stereo_comes_out_as_stereo() -> None:
    bundle = standin.bundle(channels=2)
    generator = Generator(bundle, standin.StandIn(bundle))
    audio = generator.tick(defaults(generator)).audio
    assert audio.shape == (7680, 2)
    assert not np.array_equal(audio[:, 0], audio[:, 1])


def test_a_long_stream_stays_alive_beyond_every_period() -> None:
    generator = make(steps=2)
    snapshot = values(steps=2)
    levels = [generator.tick(snapshot).audio.std() for _ in range(200)]
    assert min(levels) > 0.05
    assert len(generator.rungs) == 7


def test_every_stage_is_timed(generator: Generator, snapshot: ControlSnapshot) -> None:
    stage_s = generator.tick(snapshot).stage_s
    assert set(stage_s) == {"plan", "passes", "commit", "decode", "other"}
    assert all(seconds >= 0 for seconds in stage_s.values())


@pytest.mark.parametrize("kind", ["cached", "window"])
def test_what_is_forgotten_has_no_part_in_what_comes(kind: str) -> None:
    bundle = standin.bundle(kind=kind)
    snapshot = Controls(bundle.manifest.controls).snapshot()
    used, fresh = (Generator(bundle, standin.StandIn(bundle)) for _ in range(2))
    for _ in range(3):
        used.tick(snapshot)
    used.forget()
    fresh.resume(np.zeros((0, *fresh.history().shape[1:]), np.float32), 3)
    for _ in range(4):
        one, other = used.tick(snapshot), fresh.tick(snapshot)
        assert one.index == other.index
        np.testing.assert_array_equal(one.audio, other.audio)
