"""What is asked while the music plays: a property of generator, planner and context together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.asked import wishes_of
from engine.backends import standin
from engine.backends.parrot import VOCABULARY
from engine.controls import Controls
from engine.generator import Block, Generator
from engine.producer import render
from engine.prompts import Prompt, Prompts

LADDERS = [(10, 1), (10, 2), (10, 5), (4, 4)]


class Stage:
    """A generator that can be asked, its controls, and what embeds prompts."""

    def __init__(self, steps: int = 10, depth: int = 1, seed: int = 0) -> None:
        self.bundle = standin.bundle(prompting=True, steps=steps, depth=depth)
        self.backend = standin.StandIn(self.bundle)
        self.generator = Generator(self.bundle, self.backend, seed=seed)
        self.controls = Controls(self.bundle.manifest.controls)
        self.prompts = Prompts(self.bundle, self.backend)

    def ask(self, *texts: str) -> int:
        return self.controls.set_prompt(self.prompts.embed([Prompt(text) for text in texts]))

    def play(self, count: int) -> list[Block]:
        return [self.generator.tick(self.controls.snapshot()) for _ in range(count)]


def sound(blocks: Sequence[Block]) -> np.ndarray:
    return np.concatenate([block.audio for block in blocks])


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.sampled_from(LADDERS), st.sampled_from([1.0, 2.5]))
def test_the_same_seed_and_wishes_give_the_same_samples(
    seed: int, ladder: tuple[int, int], guidance: float
) -> None:
    streams = []
    for _ in range(2):
        stage = Stage(*ladder, seed=seed)
        stage.controls.set("guidance", guidance)
        before = stage.play(3)
        stage.ask("slow jazz")
        stage.controls.update({"bpm": 90, "drums": 0})
        streams.append(sound(before + stage.play(4)))
    np.testing.assert_array_equal(*streams)
    assert np.isfinite(streams[0]).all()


@pytest.mark.parametrize("ladder", LADDERS)
@pytest.mark.parametrize("change", ["prompt", "bpm", "focus", "guidance"])
def test_a_change_begins_with_the_next_chunk_that_enters(
    ladder: tuple[int, int], change: str
) -> None:
    """Chunks in flight end as they were asked; the revision says which was asked what."""
    one, two = Stage(*ladder), Stage(*ladder)
    one.play(6), two.play(6)
    values = {"bpm": 200, "focus": 0, "guidance": 5}
    if change == "prompt":
        revision = two.ask("dark strings")
    else:
        revision = two.controls.set(change, values[change])
    delay = ladder[1] - 1
    for tick, (a, b) in enumerate(zip(one.play(delay + 3), two.play(delay + 3), strict=True)):
        assert b.control_revision == (revision if tick >= delay else 0)
        assert np.array_equal(a.audio, b.audio) is (tick < delay)


def test_no_change_resets_anything() -> None:
    stage = Stage()
    stage.play(4)
    before = stage.generator.history()
    stage.ask("jazz")
    stage.controls.update({"bpm": 60, "tonic": "A", "scale": "minor"})
    stage.play(2)
    np.testing.assert_array_equal(stage.generator.history()[: len(before)], before)


def test_a_chunk_is_made_and_kept_with_the_tokens_it_entered_with() -> None:
    """All passes of a chunk, and its commit, see the same tokens and brief."""
    stage = Stage(4, 2)
    seen: dict[int, set[bytes]] = {}
    context = stage.generator._context
    descend, commit = context.descend, context.commit

    def note(index: int, plan) -> None:
        seen.setdefault(index, set()).add(plan.tokens.tobytes() + plan.brief.tobytes())

    def passes(window, *how):
        for chunk in window.flying:
            note(chunk.index, chunk.plan)
        return descend(window, *how)

    def keep(latents, first, plans):
        note(first, plans[0])
        return commit(latents, first, plans)

    context.descend, context.commit = passes, keep
    for bpm in (60, 80, 100, 120, 140):
        stage.controls.set("bpm", bpm)
        block = stage.play(1)[0]
        assert block.plan.tokens.shape == (8,)
    assert all(len(plans) == 1 for plans in seen.values())
    assert len({next(iter(plans)) for plans in seen.values()}) == len(seen) >= 5


def test_freeing_everything_is_asking_nothing() -> None:
    stage = Stage()
    stage.controls.update({"bpm": 100, "drums": 0})
    stage.ask("jazz")
    asked = stage.play(1)[0]
    assert asked.plan.brief.any()
    stage.controls.update({"bpm": None, "drums": None})
    stage.ask()
    free = stage.play(1)[0]
    assert not free.plan.brief.any()
    assert wishes_of(stage.controls.snapshot()).families == {}


def test_tokens_are_heard_as_pitch() -> None:
    """The velocity network plays what the planner writes."""
    pitches = []
    for token in (2, 29):
        stage = Stage()
        stage.generator._planner.next = lambda count, controls, token=token: np.full(count, token)
        pitches.append(np.mean([block.latents[:, 0].mean() for block in stage.play(3)]))
    assert pitches[0] < pitches[1] - 0.5


# ---- the past -----------------------------------------------------------------------------------


def tone(hz: float, seconds: float = 3.0) -> np.ndarray:
    time_s = np.arange(round(24000 * seconds)) / 24000
    return (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[:, None]


def test_a_take_is_planned_on_from_its_own_tokens() -> None:
    stage = Stage()
    stage.generator.prime(tone(200))
    past = stage.generator.plans()
    assert len(past) == 6 and all((plan.tokens < VOCABULARY).all() for plan in past)
    planner = stage.generator._planner
    np.testing.assert_array_equal(planner.past(0)[-8:], past[-1].tokens)
    stage.play(2)
    assert planner.past(16).shape[0] == 24
    other = Stage()
    other.generator.prime(tone(420))
    assert not np.array_equal(other.play(1)[0].plan.tokens, stage.play(1)[0].plan.tokens)


def test_priming_starts_anew_with_the_same_samples() -> None:
    stage = Stage()
    stage.generator.prime(tone(200))
    first = sound(stage.play(3))
    stage.generator.prime(tone(200))
    np.testing.assert_array_equal(sound(stage.play(3)), first)


# ---- trouble ------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("graph", ["velocity", "write", "decoder"])
def test_it_recovers_and_goes_on_planning(depth: int, graph: str) -> None:
    stage = Stage(10, depth)
    stage.ask("jazz")
    good = stage.play(4)
    stage.backend.faults.graph, stage.backend.faults.error = graph, MemoryError("gone")
    with pytest.raises(MemoryError):
        stage.play(1)
    stage.backend.faults.error = None
    stage.generator.recover()
    written = np.concatenate([block.plan.tokens for block in good])
    np.testing.assert_array_equal(stage.generator._planner.past(1000)[-16:], written[-16:])
    assert all(a is b.plan for a, b in zip(stage.generator.plans(), good, strict=True))
    blocks = stage.play(3)
    assert [block.index for block in blocks] == [5, 6, 7]
    assert all(np.isfinite(block.audio).all() for block in blocks)


def test_another_generator_goes_on_where_one_stopped() -> None:
    one, two = Stage(seed=4), Stage(seed=4)
    made = one.play(3)
    latents, plans = np.stack([b.latents for b in made]), [b.plan for b in made]
    two.generator.resume(latents, 3, plans)
    again = Stage(seed=4)
    again.generator.resume(latents, 3, plans)
    np.testing.assert_array_equal(sound(two.play(3)), sound(again.play(3)))


def test_chunks_of_which_nothing_is_known_are_continued() -> None:
    stage = Stage()
    stage.generator.resume(np.zeros((3, 16, 8), np.float32), 7)
    assert (stage.generator.plans()[0].tokens == VOCABULARY).all()
    assert stage.play(1)[0].index == 7


def test_a_render_follows_its_controls() -> None:
    stage = Stage()
    blocks = render(stage.generator, stage.controls)
    first = next(blocks)
    revision = stage.ask("bright guitar")
    second = next(blocks)
    assert (first.control_revision, second.control_revision) == (0, revision)


def test_planning_is_a_stage_of_the_tick() -> None:
    stage_s = Stage().play(1)[0].stage_s
    assert stage_s["plan"] > 0 and all(seconds >= 0 for seconds in stage_s.values())


def test_a_smaller_chunk_has_fewer_tokens() -> None:
    bundle = standin.bundle(prompting=True).at(8)
    generator = Generator(bundle, standin.StandIn(bundle))
    block = generator.tick(Controls(bundle.manifest.controls).snapshot())
    assert block.plan.tokens.shape == (4,) and np.isfinite(block.audio).all()
