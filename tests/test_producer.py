import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import standin
from engine.controls import Controls, ControlSnapshot
from engine.errors import BundleError
from engine.generator import Generator
from engine.producer import MOST_FAULTS, Producer, render


def largest_step(audio: np.ndarray) -> float:
    return float(np.abs(np.diff(audio, axis=0)).max())


def test_good_blocks_pass_untouched(generator: Generator, snapshot: ControlSnapshot) -> None:
    producer = Producer(generator)
    for n in range(3):
        block = generator.tick(snapshot)
        played = producer.accept(block)
        assert played is not None
        assert played.position_samples == 7680 * n
        np.testing.assert_array_equal(played.audio, block.audio)


@pytest.mark.parametrize("poison", ["nan", "inf", "dc", "loud"])
def test_a_broken_block_is_told_and_the_music_is_held_without_a_click(
    generator: Generator, backend: standin.StandIn, snapshot: ControlSnapshot, poison: str
) -> None:
    producer = Producer(generator)
    good = [producer.accept(generator.tick(snapshot)) for _ in range(4)]
    backend.faults.poison = poison
    assert producer.accept(generator.tick(snapshot)) is None
    assert sum(producer.faults.values()) == 1
    backend.faults.poison = ""
    held = [producer.hold(snapshot) for _ in range(2)]
    generator.recover()
    after = producer.accept(generator.tick(snapshot))
    played = [block for block in (*good, *held, after) if block]
    assert [block.position_samples for block in played] == [7680 * n for n in range(7)]
    assert [block.cover for block in played] == [False] * 4 + [True] * 2 + [False]
    music = np.concatenate([block.audio for block in played])
    assert np.isfinite(music).all()
    usual = max(largest_step(block.audio) for block in good if block)
    assert largest_step(music) < 1.5 * usual
    assert min(block.audio.std() for block in played) > 0.05


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["good", "nan", "inf", "loud", "hold"]), max_size=15))
def test_any_run_of_luck_is_unbroken_music(fates: list[str]) -> None:
    bundle = standin.bundle(chunk_frames=(8,))
    backend = standin.StandIn(bundle)
    generator = Generator(bundle, backend)
    snapshot = Controls(bundle.manifest.controls).snapshot()
    producer = Producer(generator)
    usual = producer.accept(generator.tick(snapshot))
    assert usual is not None
    heard = [usual.audio]
    for fate in fates:
        block = None
        if fate != "hold":
            backend.faults.poison = fate.replace("good", "")
            block = producer.accept(generator.tick(snapshot))
            if block is None:
                generator.recover()
        heard.append((block or producer.hold(snapshot)).audio)
    music = np.concatenate(heard)
    assert np.abs(music).max() <= 1.0
    assert music.reshape(-1, 960).std(axis=1).min() > 0.02
    assert largest_step(music) < 0.1  # a jump between two blocks of this sine is up to 0.5


def test_held_music_carries_the_revision_of_now(generator: Generator) -> None:
    producer = Producer(generator)
    controls = Controls(generator.bundle.manifest.controls)
    controls.set("seed", 3)
    block = producer.hold(controls.snapshot())
    assert (block.cover, block.control_revision, block.passes) == (True, 1, 0)


def test_a_take_can_be_held_before_anything_was_made(
    generator: Generator, snapshot: ControlSnapshot, take: np.ndarray
) -> None:
    assert not Producer(generator).can_hold
    generator.prime(take)
    producer = Producer(generator)
    assert producer.can_hold
    assert producer.hold(snapshot).audio.std() > 0.05


def test_a_render_is_the_ticks_themselves(generator: Generator, controls: Controls) -> None:
    other = Generator(generator.bundle, standin.StandIn(generator.bundle))
    for block in islice(render(generator, controls), 5):
        np.testing.assert_array_equal(block.audio, other.tick(controls.snapshot()).audio)


def test_a_render_covers_and_recovers(
    generator: Generator, backend: standin.StandIn, controls: Controls
) -> None:
    kinds = []
    for n, block in enumerate(islice(render(generator, controls), 12)):
        backend.faults.poison = "nan" if n in (3, 4) else ""
        kinds.append(block.cover)
        assert np.isfinite(block.audio).all()
    assert kinds == [n in (4, 5) for n in range(12)]


def test_a_render_of_nothing_but_faults_gives_up(
    generator: Generator, backend: standin.StandIn, controls: Controls
) -> None:
    backend.faults.poison = "loud"
    with pytest.raises(BundleError, match=r"8 blocks in a row were broken \(over_level\)"):
        list(islice(render(generator, controls), 2 * MOST_FAULTS))


def test_hold_keeps_the_present_music(generator: Generator, controls: Controls) -> None:
    blocks = render(generator, controls)
    next(blocks)
    controls.set("hold", 1)
    held = [next(blocks) for _ in range(2)]
    assert all(block.cover and block.audio.std() > 0.05 for block in held)
    controls.set("hold", 0)
    assert not next(blocks).cover


def test_loud_music_is_rounded_off_not_replaced(
    generator: Generator, snapshot: ControlSnapshot
) -> None:
    block = replace(generator.tick(snapshot), peak=1.5)
    assert Producer(generator).accept(block) is not None
    assert Producer(generator).accept(replace(block, peak=math.inf)) is None
