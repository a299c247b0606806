"""The feed of `perpetuo serve` as a process of its own: it empties the ring an engine fills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from argparse import Namespace
from contextlib import nullcontext, suppress
from dataclasses import fields, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from engine.bundle import Bundle
from engine.commands import version
from engine.commands.child import FORMAT_CHANGED, Errand
from engine.commands.stream import SWITCH_S
from engine.manifest import Manifest
from engine.process.controls import SharedControls
from engine.process.house import AREAS, Area, House
from engine.process.intake import Intake
from engine.process.memory import Memory
from engine.process.music import Format, Music
from engine.process.pipe import Pipe, RemotePrompts
from engine.sinks.broadcast import Programme
from engine.sinks.config import ServeConfig
from engine.sinks.metrics import Values
from engine.sinks.prompting import asked_of
from engine.sinks.websocket import FeedServer
from engine.status import RunnerStatus

if TYPE_CHECKING:
    from engine.sinks.device import DeviceSink

LOOK_S = 0.05
STDIN = 0


def serve_feed(errand: Errand) -> int:
    """Feed until SIGTERM, or until the watcher is gone; NetworkError as `FeedServer.start`."""
    sys.setswitchinterval(SWITCH_S)
    return asyncio.run(_serve(errand))


async def _serve(errand: Errand) -> int:
    asked = signalled()
    asyncio.get_running_loop().add_reader(STDIN, _look_at_watcher, asked)
    engines = Engines(errand)
    while not engines.ready:
        if asked.done():
            return asked.result()
        await asyncio.sleep(LOOK_S)
    given = errand.given
    engines.begin()
    with _device(engines, given) as device:
        return await _feed(errand, engines, device, asked)


def _device(engines: Engines, given: Namespace) -> Any:
    """The sound device, if one was asked for."""
    if given.device is None:
        return nullcontext()
    from engine.sinks.device import DeviceSink

    manifest = engines.bundle.manifest
    controls = SharedControls(manifest.controls, engines.house)
    return DeviceSink(
        manifest.audio, given.device, channels=given.channels, controls=controls, patient=True
    )


async def _feed(
    errand: Errand, engines: Engines, device: DeviceSink | None, asked: asyncio.Future[int]
) -> int:
    house, about = engines.house, engines.about
    door, prompts = house.door.read(), engines.remote
    config = config_of(errand.given)
    if door is not None:  # another feed stood here: its listeners come back to this door
        config = replace(config, port=door["port"])
    controls = SharedControls(engines.bundle.manifest.controls, house)
    programme = Programme(
        ring=engines.intake, blocks=engines.intake, controls=controls,
        status=engines.status, bundle=engines.bundle, version=version(),
        chunk_samples=about["chunk_samples"], depth=about["depth"],
        monitor=device.play if device else None,
        prompts=prompts, start_anew=lambda: engines.ask({"anew": True}),
        prompted=[prompts.prompt(said) for said in about["prompted"]] if prompts else (),
    )  # fmt: skip
    server = FeedServer(
        config, programme, metrics=engines.metrics, device=device.status if device else None
    )
    if (said := house.prompts.read()) is not None:
        server.prompting.present = asked_of(said)
    server.prompting.keep = lambda: house.prompts.publish(server.prompting.fields())
    await server.start()
    house.door.publish({"port": server.port, "url": server.url})
    if door is None:
        print(f"perpetuo plays at {server.url} (Ctrl-C ends it)", flush=True)
    feeding = asyncio.create_task(server.run())
    looking = asyncio.create_task(_look(engines, server, asked))
    try:
        asked.add_done_callback(lambda _: feeding.cancel())
        with suppress(asyncio.CancelledError):
            await feeding  # raises what ended the feed, if nobody asked for the end
    finally:
        looking.cancel()
        await server.close()
    return asked.result() if asked.done() else 0


async def _look(engines: Engines, server: FeedServer, asked: asyncio.Future[int]) -> None:
    """Signs of life, and what changes around the feed."""
    about = engines.about
    while True:
        engines.house.feed_beat_s.value = monotonic()
        if engines.about is not about:
            about = engines.about
            server.take_up(engines.bundle, about["chunk_samples"], about["depth"])
        if engines.changed and not asked.done():
            asked.set_result(FORMAT_CHANGED)
        await asyncio.sleep(LOOK_S)


class Engines:
    """The engines as the feed sees them: which is heard, what it is, how it does."""

    def __init__(self, errand: Errand) -> None:
        self.house = House(Memory(errand.house))
        self.about: dict[str, Any] = {}
        self.bundle: Bundle
        self.changed = False
        """The engine that is to be heard now cannot be heard by this feed."""
        self._areas = [Area(Memory(number)) for number in errand.areas]
        self._pipes = [Pipe(number) for number in errand.pipes]
        self._number = 0
        self._status: tuple[int, int, RunnerStatus] = (0, 0, RunnerStatus())

    @property
    def ready(self) -> bool:
        """True once there is an engine to be heard."""
        return bool(self.house.engine.value)

    def begin(self) -> None:
        """Take up the engine that is there."""
        self._take_up()
        manifest = self.bundle.manifest
        recordings = sum("recording" in said for said in self.about["prompted"])
        self.remote = RemotePrompts(lambda: self._pipe, recordings) if manifest.prompting else None
        for pipe in self._pipes:
            asyncio.get_running_loop().add_reader(pipe, self._hear, pipe)
        self.intake = Intake(self._newest, manifest.audio.sample_rate_hz)

    def metrics(self) -> Values:
        """What the watcher counts."""
        house = self.house
        engine, feed = house.engine_restarts.value, house.feed_restarts.value
        return {"restarts_total": {"engine": engine, "feed": feed}}

    def ask(self, message: dict[str, object]) -> None:
        """A request to the engine that is heard."""
        self._pipe.send(message)

    def status(self) -> RunnerStatus:
        """How the engine that is heard does."""
        board = self._areas[self._number % AREAS].status
        number, count, status = self._status
        if (number, count) != (self._number, board.count):
            status = _status(board.read())
            self._status = self._number, board.count, status
        return status

    @property
    def _pipe(self) -> Pipe:
        return self._pipes[self._number % AREAS]

    def _hear(self, pipe: Pipe) -> None:
        for message in pipe.read():
            if self.remote is not None:
                self.remote.hear(message)

    def _newest(self) -> Music:
        if self.house.engine.value != self._number and not self.changed:
            self._take_up()
        return self._music

    def _take_up(self) -> None:
        """Follow to another engine, if it makes music of the same kind."""
        number = self.house.engine.value
        area = self._areas[number % AREAS]
        about = area.about.read()
        self.changed = bool(self.about) and _kind(about) != _kind(self.about)
        if not self.changed:
            self.about, self._number = about, number
            self._music = Music(area, Format(**about["form"]))
            self.bundle = Bundle(None, Manifest.from_json(about["manifest"]), about["hash"])


def _kind(about: dict[str, Any]) -> tuple[object, ...]:
    """What has to be the same for a feed to go on: what its listeners were told."""
    manifest, prompted = about["manifest"], about["prompted"]
    return manifest["audio"], manifest["controls"], manifest.get("prompting") is None, prompted


def _status(said: dict[str, Any]) -> RunnerStatus:
    known = {field.name for field in fields(RunnerStatus)}
    values = {name: value for name, value in said.items() if name in known}
    return RunnerStatus(**values | {"rungs": tuple((index, at) for index, at in said["rungs"])})


def _look_at_watcher(asked: asyncio.Future[int]) -> None:
    """The watcher never writes again: what can be read is its end."""
    asyncio.get_running_loop().remove_reader(STDIN)
    if not os.read(STDIN, 1) and not asked.done():
        asked.set_result(0)


def config_of(given: Namespace) -> ServeConfig:
    """Where to listen, from the options."""
    return ServeConfig(
        host=given.host, port=given.port, token=given.token, origins=tuple(given.origin),
        listener_token=given.listener_token, performer_token=given.performer_token,
        conductor_token=given.conductor_token,
        tls_cert=given.tls_cert, tls_key=given.tls_key, prefill_s=min(0.5, given.ring),
        max_connections=given.listeners,
    )  # fmt: skip


def signalled() -> asyncio.Future[int]:
    """The exit code of the first SIGINT or SIGTERM; those after it change nothing."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()

    def ask(code: int) -> None:
        if not asked.done():
            asked.set_result(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, 128 + number)
    return asked
