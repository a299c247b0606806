"""What outlives a house of one process: `perpetuo serve` with a rig or with sessions.

The watcher (`engine.commands.guarded`) holds the memory. In it lie the controls, the prompts, the
door, and the last seconds of the music; where the process has to begin anew, it goes on from there.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

import numpy as np

from engine.commands import say
from engine.commands.child import Errand, wait_for_go
from engine.commands.serve_engine import follow, load
from engine.commands.shown import Shown
from engine.commands.stage import Stage
from engine.commands.stream import Stream, leave_beginning
from engine.controls import Controls
from engine.errors import BundleError, ControlError
from engine.generator import Block
from engine.guard import fault
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
        self._errand = errand
        self._house = House(Memory(errand.house))
        self._area = Area(Memory(errand.areas[0]))
        self.again = bool(self._house.engine.value)
        """True for a process that follows on another one."""

    def open(self) -> Stream:
        """The stream as its predecessor left it, or as it was asked for; the tail is kept.

        A process that has another bundle waits here until its predecessor has ended.
        """
        given = self._errand.given
        if self.again:
            leave_beginning(given)
        if self._errand.number:
            stream = load(self._errand, self._house)
        else:
            stream = load(self._errand, self._house, self._try_out)
            self._house.spare.value = os.getpid()
            wait_for_go()
        if self.again:
            self._prepare(given)
        return self.follow(stream)

    def _try_out(self, stream: Stream) -> None:
        """Make a chunk that nobody hears, to save time later; BundleError if that fails."""
        follow(stream, self._area)
        try:
            block = stream.generator.tick(stream.controls.snapshot())
            found = fault(block.audio, block.peak, block.latents)
        except Exception as error:
            found = str(error)
        if found:
            raise BundleError(f"no music can be made: {found}")

    def _prepare(self, given: Namespace) -> None:
        """The options of a process that follows: it spoils nothing that its predecessor wrote."""
        given.again = True
        given.port = self._house.door.read()["port"]
        for name in ("record", "flight"):
            path = getattr(given, name, None)
            if path is not None and not path.is_dir():
                setattr(given, name, free_name(path))
                say(f"perpetuo: --{name} goes on in {getattr(given, name)}")

    def follow(self, stream: Stream) -> Stream:
        """The stream, going on where its predecessor ended; the tail is kept from now on."""
        if self.again:
            follow(stream, self._area)
            stream = self._asked(stream, self._area.about.read().get("hash"))
        audio = stream.bundle.manifest.audio
        form = Format(audio.sample_rate_hz, audio.channels, 1)  # only the tail is used
        self._music = Music(self._area, form)
        self._music.begin()
        self._area.about.publish({"form": asdict(form), "hash": stream.bundle.hash})
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
        said = house.prompts.read()
        if self.again and said is not None and prompting.limits() is not None:
            prompting.present = asked_of(said)
        prompting.keep = lambda: house.prompts.publish(prompting.fields())
        house.door.publish({"port": server.port, "url": server.url})
        house.engine.value = 1

    def _shown(self, beside: Stage) -> Shown | None:
        """Where a screen in another process looks at this one."""
        if not self._errand.pipes or beside.glance is None:
            return None
        shown = Shown(self._area, self._errand.pipes[0], beside.glance, beside.ask)
        shown.begin()
        return shown

    async def watch(self, runner: Runner, beside: Stage, asked: asyncio.Future[int]) -> None:
        """Signs of life, and the controls kept, until it is cancelled or the watcher is gone."""
        asyncio.get_running_loop().add_reader(STDIN, _look_at_watcher, asked)
        stream, shown = beside.stream, self._shown(beside)
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
            if shown is not None:
                shown.look(now_s)
            await asyncio.sleep(LOOK_S)

    def _asked(self, stream: Stream, before: str | None) -> Stream:
        """With the controls and prompts of before, which the bundle of this hash understood."""
        said, prompts = self._house.controls.read(), self._house.prompts.read()
        if prompts is not None and stream.prompts is not None:
            recordings = [one for one in stream.prompted if one.audio is not None]
            stream = replace(stream, prompted=[prompt_of(one, recordings) for one in prompts])
        if said is not None:
            stream.controls.update(fitting(stream.controls, said["values"]))
            try:
                _place(stream, said["prompt"] if before == stream.bundle.hash else None)
            except ControlError as error:  # none of its words are known here
                say(f"perpetuo: {error}")
        return stream


def _place(stream: Stream, known: list[float] | None) -> None:
    """Put the prompts where they were; in another bundle they have another place."""
    if known is not None:
        stream.controls.set_prompt(np.asarray(known, np.float32))
    elif stream.prompts is not None:
        stream.controls.set_prompt(stream.prompts.embed(list(stream.prompted)))


def fitting(controls: Controls, values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Of these values those that the controls can have: the others were another bundle's."""
    probe, found = Controls(controls.specs.values()), {}
    for name, value in values.items():
        with suppress(ControlError):
            probe.set(name, value)
            found[name] = value
    return found


def free_name(path: Path) -> Path:
    """The path, numbered: nothing is there yet."""
    numbers = range(2, 10**6)
    return next(one for n in numbers if not (one := path.with_stem(f"{path.stem}-{n}")).exists())


def _look_at_watcher(asked: asyncio.Future[int]) -> None:
    """The watcher never writes again: what can be read is its end."""
    asyncio.get_running_loop().remove_reader(STDIN)
    if not os.read(STDIN, 1) and not asked.done():
        asked.set_result(0)
