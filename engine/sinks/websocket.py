"""One port for listeners and browsers: the feed, clients of Lyria RealTime, and the HTTP side.

    blocks = BlockLog()
    runner = Runner(generator, controls, ring_s=1.0, on_block=blocks.note)
    server = FeedServer(
        ServeConfig(port=8765), ring=runner.ring, blocks=blocks, controls=controls,
        status=runner.status, bundle=bundle, version="0.1.0", prompts=prompts,
    )
    await server.start()   # NetworkError if the port or the certificate cannot be used
    await server.run()     # until it is cancelled; raises what ended the feed
    await server.close()

One task takes a packet from the ring at every deadline and hands it to all listeners; one task a
connection reads what its listener says. Nothing ever waits for a listener: what one is owed is
judged before each packet, so a slow one is skipped and a stalled one is cut (`wire.limits`).
All of it runs on one event loop. Only the ring, the block log and the controls are shared with
the runner's thread.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import ControlError
from engine.prompts import Prompt
from engine.session import Floats
from engine.sinks.audience import Audience, Listener
from engine.sinks.config import ServeConfig, reachable
from engine.sinks.door import RETRY_S, Porter, serve_at_doors
from engine.sinks.feed import Blocks, Feed, MusicRing, Pacer
from engine.sinks.http import (
    TEXT_TYPE,
    Answer,
    Site,
    came_by_tls,
    health_answer,
    host_of,
    json_answer,
    origin_allowed,
    respond,
)
from engine.sinks.keeping import Keeper, Keeping
from engine.sinks.lyria import LyriaFeed, asks_lyria
from engine.sinks.metrics import Metrics, Values
from engine.sinks.opus import opus_track
from engine.sinks.prompting import Embedder, Prompting
from engine.sinks.report import Report
from engine.status import RunnerStatus
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
from engine.wire.messages import MAX_MESSAGE_BYTES
from engine.wire.native import SUBPROTOCOL, Session

if TYPE_CHECKING:
    from engine.sinks.sessions import Sessions

FEED_PATH = "/feed"
FLOOD_MESSAGES = 64
FLOOD_PAUSE_S = 0.005
"""A flood is read at under 13,000 messages a second, about a third of one core."""

log = logging.getLogger(__name__)


class FeedServer:
    """Feeds whoever listens with what `ring` holds, in real time."""

    def __init__(
        self, config: ServeConfig, *, ring: MusicRing, blocks: Blocks, controls: Controls,
        status: Callable[[], RunnerStatus], bundle: Bundle, version: str,
        chunk_samples: int | None = None, depth: int | None = None,
        prompts: Embedder | None = None, prompted: Sequence[Prompt] = (),
        monitor: Callable[[Floats], None] | None = None,
        start_anew: Callable[[], None] | None = None, keeper: Keeper | None = None,
        metrics: Callable[[], Values] = dict, sessions: Sessions | None = None,
    ) -> None:  # fmt: skip
        """`chunk_samples` and `depth` are the generator's, where they are not the bundle's.

        `prompts` is what embeds them, None where nothing takes prompts; `prompted` are those that
        the controls hold already.

        `monitor` is given the audio of every packet, float32[samples, channels], as it is sent;
        it must not block (`DeviceSink.play` is made for this). `start_anew` has the music forget
        what was played; None where it cannot. `keeper` keeps musical states, None: nobody does.
        `metrics` are further values for /metrics. `sessions` takes the connections of those who
        conduct streams of their own.

        A server that is begun, not started, has no door: another one hands listeners over.
        """
        manifest = bundle.manifest
        rate_hz, channels = manifest.audio.sample_rate_hz, manifest.audio.channels
        packet_samples = round(config.packet_s * rate_hz)
        packet_s = packet_samples / rate_hz
        self._config = config
        self._controls = controls
        self._status = status
        self._monitor = monitor
        self._sessions = sessions
        self._chunk_samples = chunk_samples or manifest.chunk_samples
        self._depth = depth or manifest.ladder.depth
        self.prompting = Prompting(prompts, controls, prompted)
        self._keeping = Keeping(keeper)
        self._prefill_samples = min(round(config.prefill_s * rate_hz), ring.capacity_samples // 2)
        self._state_packets = max(1, round(config.state_s / packet_s))
        self._feed = Feed(
            ring, blocks, sample_rate_hz=rate_hz, packet_samples=packet_samples,
            epoch=secrets.randbits(32),
        )  # fmt: skip
        self._pacer = Pacer(packet_s)
        opus = opus_track(rate_hz, channels, packet_samples, round(config.replay_s / packet_s))
        self._audience = Audience(rate_hz * channels, packet_s, config.replay_s, opus)
        self._report = Report(
            bundle=bundle, version=version, controls=controls, feed=self._feed,
            audience=self._audience, pacer=self._pacer, chunk_samples=self._chunk_samples,
            depth=self._depth, packet_samples=packet_samples,
            token_required=config.token is not None, prompting=self.prompting,
            states=self._keeping.able,
        )  # fmt: skip
        self._lyria = LyriaFeed(
            config, controls=controls, audio=manifest.audio, packet_s=packet_s,
            audience=self._audience, prompting=self.prompting, embedder=prompts,
            start_anew=start_anew,
        )  # fmt: skip
        self._further = metrics
        self._metrics = Metrics(self._values)
        self._site = Site(
            {
                "/info": lambda request: json_answer(self._info(request)),
                "/livez": lambda _: health_answer(self._dead()),
                "/readyz": lambda _: health_answer(
                    self._dead() or self._report.trouble(self._feed.sequence > 0)
                ),
                "/metrics": lambda _: (
                    HTTPStatus.OK, self._metrics.content_type, self._metrics.text()
                ),
            }
        )  # fmt: skip
        self._porter = Porter(
            config.max_connections, self._is_full, self.count_refused, config.tls_cert is not None
        )
        self._servers: list[Server] = []  # one for each address of the host
        self._feeding: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    # ---- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and feed; NetworkError says in a line why that is impossible."""
        config = self._config
        self._servers = await serve_at_doors(
            self._listen_to, config, self._porter,
            process_request=self._answer, subprotocols=[Subprotocol(SUBPROTOCOL)],
            select_subprotocol=_choose_subprotocol,
            compression=None, server_header=None, max_size=MAX_MESSAGE_BYTES,
            ping_interval=config.ping_s, ping_timeout=config.pong_s,
            close_timeout=config.close_s, logger=log,
        )  # fmt: skip
        self.begin()

    def begin(self) -> None:
        """Feed those who are there."""
        self._feeding = asyncio.create_task(self._keep_feeding())
        if (opus := self._audience.opus) is not None:
            asyncio.get_running_loop().run_in_executor(None, opus.warm)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._servers, "start it first"
        port: int = next(iter(self._servers[0].sockets)).getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Address of the page, for people on this machine."""
        scheme = "https" if self._config.tls_cert else "http"
        return f"{scheme}://{reachable(self._config.host)}:{self.port}/"

    def take_up(self, bundle: Bundle, chunk_samples: int, depth: int) -> None:
        """Another bundle of the same audio and controls plays from now on."""
        self._chunk_samples, self._depth = chunk_samples, depth
        self._report.take_up(bundle, chunk_samples, depth)

    async def run(self) -> None:
        """Return when the server is closed; raises what ended the feed."""
        assert self._feeding is not None, "start it first"
        with suppress(asyncio.CancelledError):
            await asyncio.shield(self._feeding)
            return
        if not self._feeding.cancelled():  # it was not the feed that was cancelled
            raise asyncio.CancelledError

    async def close(self) -> None:
        """Stop feeding, tell all listeners that we go away, free the port."""
        for task in (self._feeding, *self._closing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        await self._lyria.close()
        await self.prompting.close()
        await self._keeping.close()
        self._porter.close()
        for server in self._servers:
            server.close()
            await server.wait_closed()
        if self._sessions is not None:
            await self._sessions.close()

    # ---- the feed ---------------------------------------------------------------------------

    async def _keep_feeding(self) -> None:
        while self._feed.ring.fill_samples < self._prefill_samples:
            self._look_after_listeners()
            await asyncio.sleep(0.01)
        while True:
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

    async def _listen_to(self, connection: ServerConnection) -> None:
        request = connection.request
        if self._sessions is not None and request is not None and self._sessions.wants(request):
            await self._sessions.host(self, connection)
        elif asks_lyria(request):
            await self.host_lyria(connection)
        else:
            await self._host(connection)

    async def host_lyria(self, connection: ServerConnection) -> None:
        """A client of Lyria RealTime, to its end."""
        with self._lyria.client(connection) as hear_client:
            await self.converse(connection, hear_client)

    async def _host(self, connection: ServerConnection) -> None:
        listener = self.greet(connection)
        self._audience.add(listener)

        def hear(message: str | bytes) -> bool:
            for action in listener.session.receive(message, monotonic()):
                self.act(listener, action)
            return listener.session.limited

        try:
            await self.converse(connection, hear)
        finally:
            self._audience.remove(listener)

    def greet(self, connection: ServerConnection) -> Listener:
        """Say hello to a new listener, who is not in the audience yet."""
        config = self._config
        session = Session(
            opened_s=monotonic(), controls=self._controls.specs,
            recordings=self.prompting.recordings, token=config.token, limits=config.limits,
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
                listener.say(self._report.start(codec, message_id, listener.place))
                listener.prompts_told = self.prompting.changes
                self._audience.feed(listener, codec)
            case Close():
                self._closing.add(task := asyncio.create_task(_close(listener, action)))
                task.add_done_callback(self._closing.discard)

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

    # ---- HTTP -------------------------------------------------------------------------------

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The response to a plain request; None to open a WebSocket."""
        asked = self._sessions is not None and self._sessions.wants(request)
        if not (asked or request.path.partition("?")[0] == FEED_PATH or asks_lyria(request)):
            return self._site.answer(request)
        if self._is_full():
            hint = {"Retry-After": str(RETRY_S)}
            return self._refuse("full", HTTPStatus.SERVICE_UNAVAILABLE, hint)
        if not origin_allowed(request, self._config.origins):
            return self._refuse("origin", HTTPStatus.FORBIDDEN, {})
        return None

    def _refuse(self, reason: str, status: HTTPStatus, extra: dict[str, str]) -> Response:
        words = {
            "full": f"all {self._config.max_connections} places are taken; try again later\n",
            "origin": "pages of this origin may not open the feed; see --origin\n",
        }
        self.count_refused(reason)
        answer: Answer = (status, TEXT_TYPE, words[reason].encode())
        return respond(answer, extra)

    def count_refused(self, reason: str) -> None:
        """A connection that is not let in."""
        self._report.refused[reason] += 1

    @property
    def connections(self) -> int:
        """Of listeners and clients of Lyria, in sessions, too."""
        elsewhere = self._sessions.connections if self._sessions is not None else 0
        return len(self._audience) + len(self._lyria) + elsewhere

    def _is_full(self) -> bool:
        return self.connections >= self._config.max_connections

    def _info(self, request: Request) -> dict[str, object]:
        sessions = None if self._sessions is None else self._sessions.info()
        return {**self._report.info(self._feed_url(request)), "sessions": sessions}

    def _values(self) -> Values:
        """The values of /metrics, with the clients of Lyria among the listeners."""
        return {
            **self._report.metrics(self._status()),
            "listeners": self._audience.fed + self._lyria.playing,
            "connections": self.connections,
            "sessions": self._sessions.playing if self._sessions is not None else 0,
            **self._further(),
        }

    def _feed_url(self, request: Request) -> str:
        scheme = "wss" if self._config.tls_cert or came_by_tls(request) else "ws"
        host = host_of(request, f"{reachable(self._config.host)}:{self.port}")
        return f"{scheme}://{host}{FEED_PATH}"

    @property
    def ended(self) -> bool:
        """Nothing is fed any more."""
        return self._dead() is not None

    def _dead(self) -> str | None:
        feeding = self._feeding
        return None if feeding is not None and not feeding.done() else "the feed has ended"


async def _close(listener: Listener, action: Close) -> None:
    await asyncio.sleep(action.after_s)
    await listener.connection.close(action.code, action.reason)


def _choose_subprotocol(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Ours for the feed, none for Lyria; NegotiationError for who does not offer ours."""
    if asks_lyria(connection.request):
        return None
    if SUBPROTOCOL not in offered:
        raise NegotiationError(f"the feed speaks {SUBPROTOCOL}: offer it as a subprotocol")
    return Subprotocol(SUBPROTOCOL)
