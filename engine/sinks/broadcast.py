"""One stream, sent to all who listen to it: the feed without a door.

    broadcast = Broadcast(ServeConfig(), Programme(ring=…, blocks=…, controls=…, …))
    broadcast.begin()
    await broadcast.run()     # until it is cancelled; raises what ended the feed
    await broadcast.close()

One task takes a packet from the ring at every deadline and hands it to all listeners; one task a
connection reads what its listener says. Nothing ever waits for a listener: what one is owed is
judged before each packet, so a slow one is skipped and a stalled one is cut (`wire.limits`).
All of it runs on one event loop. Only the ring, the block log and the controls are shared with
the runner's thread.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import ControlError
from engine.prompts import Prompt
from engine.session import Floats
from engine.sinks.audience import Audience, Listener
from engine.sinks.config import ServeConfig
from engine.sinks.feed import Blocks, Feed, MusicRing, Pacer
from engine.sinks.keeping import Keeper, Keeping
from engine.sinks.lyria import LyriaFeed
from engine.sinks.opus import opus_track
from engine.sinks.podium import Podium
from engine.sinks.prompting import Embedder, Prompting
from engine.sinks.report import Report
from engine.status import RunnerStatus
from engine.tidy import Tidy
from engine.wire.actions import (
    Action,
    Close,
    KeepState,
    Send,
    SetControl,
    SetPrompts,
    Start,
    acknowledge,
    refuse,
)
from engine.wire.limits import Backlog
from engine.wire.native import Session

FLOOD_MESSAGES = 64
FLOOD_PAUSE_S = 0.005
"""A flood is read at under 13,000 messages a second, about a third of one core."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Programme:
    """What is sent, and what may be asked of it."""

    ring: MusicRing
    blocks: Blocks
    controls: Controls
    status: Callable[[], RunnerStatus]
    bundle: Bundle
    version: str
    chunk_samples: int | None = None  # the generator's, where they are not the bundle's
    depth: int | None = None
    prompts: Embedder | None = None  # embeds them; None where nothing takes prompts
    prompted: Sequence[Prompt] = ()  # those that the controls hold already
    monitor: Callable[[Floats], None] | None = None
    """Given the audio of every packet, float32[samples, channels], as it is sent; it must not block
    (`DeviceSink.play` is made for this)."""
    start_anew: Callable[[], None] | None = None
    """Has the music forget what was played; None where it cannot."""
    keeper: Keeper | None = None  # of musical states; None: nobody keeps them


class Broadcast:
    """Feeds whoever listens with what the ring holds, in real time."""

    def __init__(self, config: ServeConfig, programme: Programme) -> None:
        manifest, ring = programme.bundle.manifest, programme.ring
        rate_hz, channels = manifest.audio.sample_rate_hz, manifest.audio.channels
        packet_samples = round(config.packet_s * rate_hz)
        packet_s = packet_samples / rate_hz
        self._config = config
        self._controls = programme.controls
        self._status = programme.status
        self._monitor = programme.monitor
        self._chunk_samples = programme.chunk_samples or manifest.chunk_samples
        self._depth = programme.depth or manifest.ladder.depth
        self.prompting = Prompting(programme.prompts, programme.controls, programme.prompted)
        self._keeping = Keeping(programme.keeper)
        self._prefill_samples = min(round(config.prefill_s * rate_hz), ring.capacity_samples // 2)
        self._state_packets = max(1, round(config.state_s / packet_s))
        self._feed = Feed(
            ring, programme.blocks, sample_rate_hz=rate_hz, packet_samples=packet_samples,
            epoch=secrets.randbits(32),
        )  # fmt: skip
        self._pacer = Pacer(packet_s)
        self._tidy = Tidy()
        opus = opus_track(rate_hz, channels, packet_samples, round(config.replay_s / packet_s))
        self._audience = Audience(rate_hz * channels, packet_s, config.replay_s, opus)
        self._report = Report(
            bundle=programme.bundle, version=programme.version, controls=programme.controls,
            feed=self._feed, audience=self._audience, pacer=self._pacer,
            chunk_samples=self._chunk_samples, depth=self._depth, packet_samples=packet_samples,
            token_required=config.tokens.required, prompting=self.prompting,
            states=self._keeping.able,
        )  # fmt: skip
        self._podium = Podium(config.tokens, programme.controls.specs)
        self._lyria = LyriaFeed(
            config, controls=programme.controls, audio=manifest.audio, packet_s=packet_s,
            audience=self._audience, prompting=self.prompting, embedder=programme.prompts,
            start_anew=programme.start_anew,
        )  # fmt: skip
        self._feeding: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    # ---- life -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Feed those who are there."""
        self._feeding = asyncio.create_task(self._keep_feeding())
        if (opus := self._audience.opus) is not None:
            asyncio.get_running_loop().run_in_executor(None, opus.warm)

    def take_up(self, bundle: Bundle, chunk_samples: int, depth: int) -> None:
        """Another bundle of the same audio and controls plays from now on."""
        self._chunk_samples, self._depth = chunk_samples, depth
        self._report.take_up(bundle, chunk_samples, depth)

    async def run(self) -> None:
        """Return when it is closed; raises what ended the feed."""
        assert self._feeding is not None, "begin first"
        with suppress(asyncio.CancelledError):
            await asyncio.shield(self._feeding)
            return
        if not self._feeding.cancelled():  # it was not the feed that was cancelled
            raise asyncio.CancelledError

    async def close(self) -> None:
        """Stop feeding; whoever is connected stays so."""
        for task in (self._feeding, *self._closing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        self._tidy.end()
        await self._lyria.close()
        await self.prompting.close()
        await self._keeping.close()

    @property
    def ended(self) -> bool:
        """Nothing is fed any more."""
        return self._feeding is None or self._feeding.done()

    @property
    def connections(self) -> int:
        """Of listeners and clients of Lyria."""
        return len(self._audience) + len(self._lyria)

    # ---- the feed ---------------------------------------------------------------------------

    async def _keep_feeding(self) -> None:
        while self._feed.ring.fill_samples < self._prefill_samples:
            self._look_after_listeners()
            await asyncio.sleep(0.01)
        self._tidy.begin()  # what connections leave behind would lie about for minutes
        while True:
            self._tidy.rest(self._pacer.wait_s(monotonic()))
            await asyncio.sleep(self._pacer.wait_s(monotonic()))
            packet = self._feed.pull(self._controls.snapshot())
            self._audience.deliver(packet)
            self._lyria.deliver(packet)
            self._pacer.sent(monotonic())
            if self._monitor is not None:
                self._monitor(packet.audio)
            if packet.header.sequence % self._state_packets == 0:
                self._audience.tell(self._report.state(self._status()))
                self._audience.tell_prompts(self.prompting)
            self._look_after_listeners()

    def _look_after_listeners(self) -> None:
        now_s = monotonic()
        self._lyria.look_after(now_s)
        for listener in self._audience:
            for action in listener.session.poll(now_s):
                self.act(listener, action)

    # ---- one listener -----------------------------------------------------------------------

    async def host(self, connection: ServerConnection) -> None:
        """A listener, from its hello to its end."""
        listener = self.greet(connection)
        self._audience.add(listener)

        def hear(message: str | bytes) -> bool:
            for action in listener.session.receive(message, monotonic()):
                self.act(listener, action)
            return listener.session.limited

        try:
            await self.converse(connection, hear)
        finally:
            self.take_leave(listener)

    async def host_lyria(self, connection: ServerConnection) -> None:
        """A client of Lyria RealTime, to its end."""
        with self._lyria.client(connection) as hear_client:
            await self.converse(connection, hear_client)

    def greet(self, connection: ServerConnection) -> Listener:
        """Say hello to a new listener, who is not in the audience yet."""
        config = self._config
        session = Session(
            opened_s=monotonic(), controls=self._controls.specs,
            recordings=self.prompting.recordings, tokens=config.tokens, limits=config.limits,
            states=self._keeping.able, codecs=self._audience.codecs,
        )  # fmt: skip
        listener = Listener(connection, session, Backlog(config.skip_s, config.cut_s))
        listener.say(self._report.hello())
        return listener

    def take_in(self, listener: Listener) -> None:
        """Somebody whom another server has greeted."""
        self._audience.add(listener)

    def take_leave(self, listener: Listener) -> None:
        """Of somebody whose connection has ended."""
        self._audience.remove(listener)
        self._podium.leave(listener)

    async def send_away(self, code: int, reason: str) -> None:
        """Close the connections of all listeners."""
        for listener in self._audience:
            await listener.connection.close(code, reason)

    async def converse(
        self, connection: ServerConnection, hear: Callable[[str | bytes], bool]
    ) -> None:
        """Read a connection to its end; `hear` says True where it should be read slowly."""
        try:
            async for message in connection:
                self._report.messages += 1
                if hear(message) and self._report.messages % FLOOD_MESSAGES == 0:
                    await asyncio.sleep(FLOOD_PAUSE_S)
        except ConnectionClosed as end:
            if end.sent is not None and end.sent.code != 1000:
                self._audience.gone[str(int(end.sent.code))] += 1

    def act(self, listener: Listener, action: Action) -> None:
        """Do what the session of a listener asks."""
        match action:
            case SetControl() | SetPrompts() | KeepState() if not listener.conducts:
                reason = "only its conductor steers this session"
                listener.say(refuse(action, reason, "not_conductor").text)
            case SetControl() | SetPrompts() | KeepState() if (
                refused := self._podium.refusal(listener, action)
            ) is not None:
                listener.say(refuse(action, *refused).text)
            case Send(text):
                listener.say(text)
            case SetControl():
                listener.say(self._set(action).text)
            case SetPrompts():
                self.prompting.ask(
                    action,
                    lambda answer: self._prompted(listener, answer),
                    lambda revision: acknowledge(action, revision, self._heard_at("idea")),
                )
            case KeepState():
                self._keeping.ask(
                    action,
                    lambda answer: listener.say(answer.text),
                    lambda sample: acknowledge(
                        action, self._controls.snapshot().revision, self._feed.to_feed(sample)
                    ),
                )
            case Start(codec, message_id):
                self._know(listener, action)
                holder = self._podium.holder(listener) if listener.role == "conductor" else None
                listener.say(
                    self._report.start(
                        codec, message_id, listener.place, role=listener.role, stage=holder
                    )
                )
                listener.prompts_told = self.prompting.changes
                self._audience.feed(listener, codec)
            case Close():
                self._closing.add(task := asyncio.create_task(_close(listener, action)))
                task.add_done_callback(self._closing.discard)

    def _know(self, listener: Listener, start: Start) -> None:
        """Its role, from its token, and a name for the others."""
        listener.role = start.role
        address = listener.connection.remote_address
        listener.name = start.name or f"somebody at {address[0] if address else 'this machine'}"
        self._podium.enter(listener)

    def _set(self, action: SetControl) -> Send:
        try:
            revision = self._controls.set(action.name, action.value)
        except ControlError as error:
            return refuse(action, str(error))
        self._lyria.note()
        value = self._controls.snapshot().values[action.name]
        kind = self._controls.specs[action.name].kind
        heard_at = self._heard_at("hold" if action.name == "hold" else kind)
        return acknowledge(replace(action, value=value), revision, heard_at)

    def _prompted(self, listener: Listener, answer: Send) -> None:
        listener.say(answer.text)
        self._lyria.note()
        self._audience.tell_prompts(self.prompting)

    def _heard_at(self, reach: str) -> int:
        """Where a change that was just made will be heard; see `Feed.heard_at`."""
        status = self._status()
        newest = max((index for index, _ in status.rungs), default=None)
        begun = status.busy or 0.0 < status.begins_s <= monotonic()
        taking = self._depth if begun else 0
        return self._feed.heard_at(reach, newest, self._chunk_samples, taking)


async def _close(listener: Listener, action: Close) -> None:
    await asyncio.sleep(action.after_s)
    await listener.connection.close(action.code, action.reason)
