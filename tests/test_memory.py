from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.backends import open_backend, standin
from engine.bundle import Bundle, default_bundle_path
from engine.controls import Controls
from engine.errors import ControlError, UsageError
from engine.generator import Generator
from engine.memory import Memory, check, recall, remember
from engine.prompts import Prompt, Prompts


class Player:
    """A generator of the stand-in and its controls."""

    def __init__(self, seed: int = 0, **bundle: Any) -> None:
        self.bundle = standin.bundle(**bundle)
        self.backend = standin.StandIn(self.bundle)
        self.generator = Generator(self.bundle, self.backend, seed=seed)
        self.controls = Controls(self.bundle.manifest.controls)

    def play(self, chunks: int, **changed: float) -> np.ndarray:
        """The samples of the next chunks; `changed` is set behind the first of them."""
        blocks = []
        for _ in range(chunks):
            blocks.append(self.generator.tick(self.controls.snapshot()))
            if changed:
                self.controls.update(changed)
        return np.concatenate([block.audio for block in blocks] or [np.zeros((0, 1))])

    def remember(self, words: Any = None) -> Memory:
        return remember(self.generator, self.controls.snapshot(), words)

    def recall(self, memory: Memory) -> None:
        recall(memory, self.generator, self.controls)


KINDS = [
    {"kind": "cached"}, {"kind": "cached", "depth": 5}, {"kind": "cached", "prompting": True},
    {"kind": "cached", "prompting": True, "depth": 2}, {"kind": "window"},
    {"kind": "window", "depth": 2},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [0, 1, 9])
def test_the_music_goes_on_to_the_very_same_samples(kind: dict, chunks: int) -> None:
    player = Player(seed=5, **kind)
    player.play(chunks)
    memory = player.remember()
    first = player.play(8)
    player.play(3)
    player.recall(memory)
    np.testing.assert_array_equal(player.play(8), first)
    other = Player(seed=5, **kind)  # started anew
    other.recall(memory)
    np.testing.assert_array_equal(other.play(8), first)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_pull_that_fades_goes_on_fading(chunks: int) -> None:
    """Also where the next tick is the first that hears of the change."""
    player, other = Player(prompting=True), Player(prompting=True)
    player.play(2, density=0.9)
    player.controls.update({"brightness": 0.2, "guidance": 3.0})
    player.play(chunks)
    memory = player.remember()
    first = player.play(6)
    other.recall(memory)
    np.testing.assert_array_equal(other.play(6), first)
    earlier = Memory(edited(memory, planner__asked=-10_000), memory.arrays)
    other.recall(earlier)
    assert not np.array_equal(other.play(6), first)


def edited(memory: Memory, **changed: int) -> dict[str, Any]:
    """What a memory is about, with fields of its parts changed."""
    about = {key: dict(x) if isinstance(x, dict) else x for key, x in memory.about.items()}
    for name, value in changed.items():
        part, _, field = name.partition("__")
        about[part][field] = value
    return about


def test_a_take_that_was_gone_on_from_is_remembered(take: np.ndarray) -> None:
    player, other = Player(prompting=True), Player(prompting=True)
    player.generator.prime(take)
    player.play(2)
    memory = player.remember()
    first = player.play(4)
    other.recall(memory)
    np.testing.assert_array_equal(other.play(4), first)


def test_ideas_and_prompt_come_back_and_hands_stay(seed: int = 3) -> None:
    player = Player(seed, prompting=True)
    embed = Prompts(player.bundle, player.backend).embed
    player.controls.update({"bpm": 90.0, "steps": 6.0, "seed": 7.0, "gain_db": -3.0})
    player.controls.set_prompt(embed([Prompt("slow jazz")]))
    player.play(3)
    memory = player.remember((("slow jazz", 1.0),))
    first = player.play(4, bpm=150.0, steps=10.0)
    player.controls.set_prompt(None)
    player.controls.update({"gain_db": -9.0, "drums": 0.0})
    player.recall(memory)
    now = player.controls.snapshot()
    assert [now.values[name] for name in ("bpm", "steps", "seed", "drums")] == [90, 6, 7, None]
    assert now.values["gain_db"] == -9
    assert now.prompt is not None
    assert memory.words == (("slow jazz", 1.0),)
    np.testing.assert_array_equal(player.play(4, bpm=150.0, steps=10.0), first)


def test_another_seed_at_the_start_gives_the_same_samples_where_it_can() -> None:
    player = Player(seed=9, prompting=True)
    player.play(2)
    memory = player.remember()
    first = player.play(3)
    lower = Player(seed=4, prompting=True)
    lower.recall(memory)
    assert lower.controls.snapshot().values["seed"] == 5
    # noise counts from the sum of both seeds
    np.testing.assert_array_equal(lower.play(3), first)
    higher = Player(seed=10, prompting=True)
    with pytest.raises(UsageError, match="seed is 9, this stream began with --seed 10"):
        higher.recall(memory)


def test_recovery_after_a_recall_goes_on_behind_what_was_restored() -> None:
    player = Player()
    player.play(4)
    memory = player.remember()
    player.play(5)
    player.recall(memory)
    player.generator.recover()
    assert player.generator.history().shape[0] == 4
    assert player.generator.tick(player.controls.snapshot()).index == 4


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ({"depth": 2}, "made with --depth 1, this stream has 2"),
        ({"dim": 4}, "the state's .* here it is float32"),
        ({"prompting": True}, "missing, here it is"),
        ({"chunk_frames": (8,)}, "made with --chunk 16, this stream has 8"),
    ],
)
def test_a_state_of_another_stream_is_refused_and_nothing_changes(kind: dict, says: str) -> None:
    player, other = Player(), Player(**kind)
    player.play(2)
    untouched = Player(**kind)
    other.play(2)
    untouched.play(2)
    with pytest.raises(UsageError, match=says):
        other.recall(player.remember())
    assert other.controls.snapshot().revision == 0
    np.testing.assert_array_equal(other.play(2), untouched.play(2))


def changed(memory: Memory, **arrays: np.ndarray) -> Memory:
    return replace(memory, arrays={**memory.arrays, **arrays})


def test_another_bundle_is_named() -> None:
    player = Player()
    memory = player.remember()
    about = {**memory.about, "bundle": {"name": "jazz", "version": "2", "hash": "f" * 64}}
    with pytest.raises(UsageError, match=r"of bundle jazz 2 \(f{12}…\), this is standin 1"):
        check(replace(memory, about=about), player.generator)


def test_spoilt_numbers_are_refused() -> None:
    player = Player(prompting=True)
    player.play(2)
    memory = player.remember()
    keys = memory.arrays["context.keys"].copy()
    keys.flat[7] = np.nan
    with pytest.raises(UsageError, match=r"context.keys holds numbers that are not finite"):
        player.recall(changed(memory, **{"context.keys": keys}))
    past = memory.arrays["planner.past"] + 1000
    with pytest.raises(UsageError, match=r"planner.past holds tokens"):
        player.recall(changed(memory, **{"planner.past": past}))
    with pytest.raises(UsageError, match=r"planner.past has 9999 rows"):
        player.recall(changed(memory, **{"planner.past": np.zeros(9999, np.int64)}))
    long = np.full(player.bundle.manifest.prompting.embedding, 3.0, np.float32)
    with pytest.raises(ControlError, match="length 1"):
        player.recall(changed(memory, prompt=long))
    unknown = {**memory.about, "ideas": {**memory.about["ideas"], "swing": 1.0}}
    with pytest.raises(UsageError, match="swing"):
        player.recall(replace(memory, about=unknown))


def test_the_shipped_bundle_goes_on_to_the_same_samples() -> None:
    bundle = Bundle.open(default_bundle_path())
    backend = open_backend("ort", bundle, threads=1)
    generator, controls = Generator(bundle, backend, seed=2), Controls(bundle.manifest.controls)
    for _ in range(2):
        generator.tick(controls.snapshot(), 2)
    memory = remember(generator, controls.snapshot())
    first = [generator.tick(controls.snapshot(), 2).audio for _ in range(3)]
    recall(memory, generator, controls)
    again = [generator.tick(controls.snapshot(), 2).audio for _ in range(3)]
    np.testing.assert_array_equal(again, first)
