"""What a house of one process leaves to the next."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from engine.commands.child import Errand
from engine.commands.kept import Kept, free_name
from engine.commands.stream import Stream, open_stream
from engine.errors import BundleError
from engine.generator import Block, Generator
from engine.process.house import Area, House


def given(**more: object) -> Namespace:
    usual = {
        "bundle": None, "backend": "standin", "take": None, "state": None, "seed": 0,
        "steps": None, "depth": None, "chunk": None, "threads": 1, "prompts": [], "weights": [],
        "bpm": None, "key": None, "density": None, "brightness": None, "guidance": None,
        "play": [], "without": [], "port": 0,
    }  # fmt: skip
    return Namespace(**{**usual, **more})


def errand(house: House, area: Area, options: Namespace) -> Errand:
    return Errand("house", options, house.memory.fd, (area.memory.fd,), (), 1)


def played(stream: Stream, kept: Kept, blocks: int) -> list[Block]:
    made = [stream.generator.tick(stream.controls.snapshot()) for _ in range(blocks)]
    for block in made:
        kept.note(block)
    return made


def test_the_next_one_goes_on_from_the_last_seconds() -> None:
    house, area, options = House.made(), Area.made(), given()
    first = Kept(errand(house, area, options))
    assert not first.again
    stream = first.follow(open_stream(options))
    played(stream, first, 20)
    house.engine.value = 1
    house.door.publish({"port": 1234, "url": ""})
    house.controls.publish({"values": {"gain_db": -3.0, "no_such": 1.0}, "prompt": None})

    options = given(take=Path("take.wav"))
    second = Kept(errand(house, area, options))
    stream = second.open()
    values = stream.controls.snapshot().values
    assert values["gain_db"] == -3 and "no_such" not in values
    assert second.again and options.port == 1234 and options.take is None
    assert stream.generator.lead.shape[0] > 0
    assert np.abs(stream.generator.lead).max() > 1e-3


def test_what_was_written_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "set.flac"
    assert free_name(path) == tmp_path / "set-2.flac"
    (tmp_path / "set-2.flac").touch()
    assert free_name(path) == tmp_path / "set-3.flac"


def test_prompts_have_another_place_in_another_bundle() -> None:
    house, area, options = House.made(), Area.made(), given()
    first = Kept(errand(house, area, options))
    played(first.follow(open_stream(options)), first, 20)
    house.engine.value = 1
    house.door.publish({"port": 1234, "url": ""})
    house.prompts.publish([{"text": "warm piano", "weight": 1.0}])
    elsewhere = [1.0] + 3 * [0.0]
    house.controls.publish({"values": {}, "prompt": elsewhere})
    area.about.publish({**area.about.read(), "hash": "of another bundle"})

    stream = Kept(errand(house, area, given())).open()
    place = stream.controls.snapshot().prompt
    assert stream.prompts is not None and place is not None
    assert np.array_equal(place, stream.prompts.embed(list(stream.prompted)))
    assert [prompt.text for prompt in stream.prompted] == ["warm piano"]


def test_a_bundle_that_makes_no_music_is_refused_before_it_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house, area, options = House.made(), Area.made(), given()
    first = Kept(errand(house, area, options))
    played(first.follow(open_stream(options)), first, 20)
    house.engine.value = 1

    def tick(*_: object) -> Block:
        raise RuntimeError("a graph is broken")

    monkeypatch.setattr(Generator, "tick", tick)
    with pytest.raises(BundleError, match="no music can be made: a graph is broken"):
        Kept(Errand("house", given(), house.memory.fd, (area.memory.fd,), ())).open()
    assert not house.spare.value
