"""What outlives a house of one process: `perpetuo serve` with a rig or with sessions.

The watcher (`engine.commands.guarded`) holds the memory. In it lie the controls, the prompts, the
door, and the last seconds of the music; where the process has to begin anew, it goes on from there.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

import numpy as np

from engine.commands import say
from engine.commands.child import Errand
from engine.commands.serve_engine import follow
from engine.commands.stream import Stream
from engine.errors import ControlError
from engine.generator import Block
from engine.process.house import Area, House
from engine.process.memory import Memory
from engine.process.music import Format, Music
from engine.process.pipe import prompt_of
from engine.process.pulse import Pulse
from engine.runner import Runner
from engine.sinks.metrics import Values
from engine.sinks.prompting import asked_of
from engine.sinks.websocket import FeedServer

LOOK_S = 0.05
STDIN = 0


class Kept:
    """The memory of a house, and its signs of life."""

    def __init__(self, errand: Errand) -> None:
        self._house = House(Memory(errand.house))
        self._area = Area(Memory(errand.areas[0]))
        self.again = bool(self._house.engine.value)
        """True for a process that follows on one that died."""

    def prepare(self, given: Namespace) -> None:
        """The options of a process that follows: it spoils nothing that its predecessor wrote."""
        if not self.again:
            return
        given.again = True
        given.take = given.state = None  # it goes on from what was played
        given.port = self._house.door.read()["port"]
        for name in ("record", "flight"):
            path = getattr(given, name, None)
            if path is not None and not path.is_dir():
                setattr(given, name, free_name(path))
                say(f"perpetuo: --{name} goes on in {getattr(given, name)}")

    def follow(self, stream: Stream) -> Stream:
        """The stream as its predecessor left it; the tail is kept from now on."""
        if self.again:
            follow(stream, self._area)
            stream = self._asked(stream)
        audio = stream.bundle.manifest.audio
        form = Format(audio.sample_rate_hz, audio.channels, 1)  # only the tail is used
        self._music = Music(self._area, form)
        self._music.begin()
        self._area.about.publish({"form": asdict(form)})
        return stream

    def note(self, block: Block) -> None:
        """A block was put into the ring."""
        self._music.tail.add(block.audio)

    def metrics(self) -> Values:
        """What the watcher counts."""
        return {"restarts_total": {"house": self._house.engine_restarts.value}}

    def share(self, server: FeedServer) -> None:
        """Keep the door, and the prompts from now on."""
        house, prompting = self._house, server.prompting
        if self.again and (said := house.prompts.read()) is not None:
            prompting.present = asked_of(said)
        prompting.keep = lambda: house.prompts.publish(prompting.fields())
        house.door.publish({"port": server.port, "url": server.url})
        house.engine.value = 1

    async def watch(self, runner: Runner, stream: Stream, asked: asyncio.Future[int]) -> None:
        """Signs of life, and the controls kept, until it is cancelled or the watcher is gone."""
        asyncio.get_running_loop().add_reader(STDIN, _look_at_watcher, asked)
        pulse, revision = Pulse(monotonic()), -1
        while True:
            now_s, ring, controls = monotonic(), runner.ring, stream.controls.snapshot()
            lead_s = runner.status().lead_s
            if pulse.beats(now_s, ring.written_samples, ring.left_s(), lead_s):
                self._house.feed_beat_s.value = now_s
            if controls.revision != revision:
                revision = controls.revision
                prompt = None if controls.prompt is None else controls.prompt.tolist()
                self._house.controls.publish({"values": dict(controls.values), "prompt": prompt})
            await asyncio.sleep(LOOK_S)

    def _asked(self, stream: Stream) -> Stream:
        """With the controls and prompts of before."""
        said, prompts = self._house.controls.read(), self._house.prompts.read()
        if said is not None:
            _try(lambda: stream.controls.update(said["values"]))
            if said["prompt"] is not None:
                place = np.asarray(said["prompt"], np.float32)
                _try(lambda: stream.controls.set_prompt(place))
        if prompts is None:
            return stream
        recordings = [one for one in stream.prompted if one.audio is not None]
        return replace(stream, prompted=[prompt_of(one, recordings) for one in prompts])


def free_name(path: Path) -> Path:
    """The path, numbered: nothing is there yet."""
    numbers = range(2, 10**6)
    return next(one for n in numbers if not (one := path.with_stem(f"{path.stem}-{n}")).exists())


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except ControlError as error:  # of another bundle
        say(f"perpetuo: {error}")


def _look_at_watcher(asked: asyncio.Future[int]) -> None:
    """The watcher never writes again: what can be read is its end."""
    asyncio.get_running_loop().remove_reader(STDIN)
    if not os.read(STDIN, 1) and not asked.done():
        asked.set_result(0)
