"""The size of a chunk, from the option or from a state to what plays."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from two_sizes import fixed, two_sizes

from engine.bundle import Bundle
from engine.cli import parser
from engine.commands import stream as module
from engine.commands.stream import Stream, leave_beginning, open_stream
from engine.errors import UsageError
from engine.memory import remember
from engine.rig.states import save_state

Open = Callable[..., Stream]


def options(*given: object, command: str = "render") -> Namespace:
    place = ("-o", "never.wav") if command == "render" else ()
    return parser().parse_args([command, "--backend", "standin", *map(str, (*given, *place))])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a bundle that has graphs of its own for each of its two sizes."""
    bundle = two_sizes(prompting=True)
    monkeypatch.setattr(module, "_bundle", lambda given: bundle)

    def open_it(*given: object, **kind: Any) -> Stream:
        return open_stream(options(*given, **kind))

    return open_it


@pytest.mark.parametrize(("asked", "frames", "kept"), [((), 16, 6), (("--chunk", 8), 8, 12)])
def test_the_size_asked_for_is_that_of_all_that_plays(
    opened: Open, asked: tuple[object, ...], frames: int, kept: int
) -> None:
    stream = opened(*asked)
    assert stream.bundle.manifest.chunk_frames[0] == frames
    for generator in (stream.generator, stream.spare(), stream.another()):
        block = generator.tick(stream.controls.snapshot())
        assert block.latents.shape[0] == frames and block.plan.tokens.shape == (frames // 2,)
        assert generator.bundle == stream.bundle
    for _ in range(20):
        stream.generator.tick(stream.controls.snapshot())
    assert stream.generator.history().shape[0] == kept


def test_the_usual_size_may_be_asked_for(opened: Open) -> None:
    assert opened("--chunk", 16).bundle == opened().bundle


def test_streams_in_one_pass_have_the_size_asked_for(opened: Open) -> None:
    stream = opened("--chunk", 8, "--sessions", 2, command="serve")
    assert stream.another().tick(stream.controls.snapshot()).latents.shape[0] == 8


def test_a_size_that_the_bundle_lacks_is_refused_before_anything_is_loaded(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_backend", None)
    with pytest.raises(UsageError, match="chunks of 12 frames; bundle standin has: 16, 8"):
        opened("--chunk", 12)


def test_a_state_brings_its_size_and_goes_on_in_no_other(opened: Open, tmp_path: Path) -> None:
    first = opened("--chunk", 8)
    for _ in range(3):
        first.generator.tick(first.controls.snapshot())
    path = tmp_path / "verse.state.npz"
    save_state(remember(first.generator, first.controls.snapshot()), path)
    again = opened("--state", path)
    ticked = (one.generator.tick(one.controls.snapshot()).audio for one in (first, again))
    np.testing.assert_array_equal(*ticked)
    with pytest.raises(UsageError, match="made with --chunk 8, this stream has 16"):
        opened("--state", path, "--chunk", 16)


def test_a_state_of_a_size_that_is_gone_is_refused(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = opened("--chunk", 8)
    path = tmp_path / "verse.state.npz"
    save_state(remember(stream.generator, stream.controls.snapshot()), path)
    without = Bundle(None, fixed(16, prompting=True), "1" * 64)
    monkeypatch.setattr(module, "_bundle", lambda given: without)
    with pytest.raises(UsageError, match="chunks of 8 frames; bundle standin has: 16"):
        opened("--state", path)


def test_who_goes_on_from_what_was_played_keeps_the_size_of_the_state(
    opened: Open, tmp_path: Path
) -> None:
    stream = opened("--chunk", 8, "--seed", 5)
    path = tmp_path / "verse.state.npz"
    save_state(remember(stream.generator, stream.controls.snapshot()), path)
    given = options("--state", path)
    leave_beginning(given)
    assert (given.state, given.take, given.chunk, given.seed) == (None, None, 8, 5)
    assert open_stream(given).generator.chunk_frames == 8
    path.unlink()
    given = options("--state", path)
    leave_beginning(given)
    assert (given.state, given.chunk) == (None, None)
