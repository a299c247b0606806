"""What a house of one process leaves to the next."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np

from engine.commands.child import Errand
from engine.commands.kept import Kept, free_name
from engine.commands.stream import Stream, open_stream
from engine.generator import Block
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
    return Errand("house", options, house.memory.fd, (area.memory.fd,), ())


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
    second.prepare(options)
    assert second.again and options.port == 1234 and options.take is None
    stream = second.follow(open_stream(options))
    assert stream.generator.lead.shape[0] > 0
    assert np.abs(stream.generator.lead).max() > 1e-3


def test_what_was_written_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "set.flac"
    assert free_name(path) == tmp_path / "set-2.flac"
    (tmp_path / "set-2.flac").touch()
    assert free_name(path) == tmp_path / "set-3.flac"
