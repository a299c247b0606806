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
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from time import monotonic

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine.bundle import Bundle
from engine.controls import Controls
from engine.errors import ControlError, NetworkError
from engine.prompts import Prompt
from engine.ring import AudioRing
from engine.session import Floats
from engine.sinks.audience import Audience, Listener
from engine.sinks.config import ServeConfig, reachable, tls_context
from engine.sinks.feed import BlockLog, Feed, Pacer
from engine.sinks.http import (
    TEXT_TYPE,
    Answer,
    Site,
    health_answer,
    host_of,
    json_answer,
    origin_allowed,
    respond,
)
from engine.sinks.lyria import LyriaFeed, asks_lyria
from engine.sinks.metrics import Metrics, Values
from engine.sinks.prompting import Embedder, Prompting
from engine.sinks.report import EngineStatus, Report
from engine.wire.actions import (
    Action,
    Close,
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

FEED_PATH = "/feed"
SEND_BUFFER_BYTES = 32 * 1024
RECEIVE_BUFFER_BYTES = 16 * 1024
"""Small kernel buffers: a slow listener shows at once, and a flood comes in small pieces."""

FLOOD_MESSAGES = 64
FLOOD_PAUSE_S = 0.005
"""A flood is read at under 13,000 messages a second, about a third of one core."""

log = logging.getLogger(__name__)


class FeedServer:
    """Feeds whoever listens with what `ring` holds, in real time."""

    def __init__(
        self, config: ServeConfig, *, ring: AudioRing, blocks: BlockLog, controls: Controls,
        status: Callable[[], EngineStatus], bundle: Bundle, version: str,
        chunk_samples: int | None = None, depth: int | None = None,
        prompts: Embedder | None = None, prompted: Sequence[Prompt] = (),
        monitor: Callable[[Floats], None] | None = None,
        start_anew: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """`chunk_samples` and `depth` are the generator's, where they are not the bundle's.

        `prompts` is what embeds them, None where nothing takes prompts; `prompted` are those that
        the controls hold already.

        `monitor` is given the audio of every packet, float32[samples, channels], as it is sent;
        it must not block (`DeviceSink.play` is made for this). `start_anew` has the music forget
        what was played; None where it cannot.
        """
        manifest = bundle.manifest
        rate_hz, channels = manifest.audio.sample_rate_hz, manifest.audio.channels
        packet_samples = round(config.packet_s * rate_hz)
        packet_s = packet_samples / rate_hz
        self._config = config
        self._controls = controls
        self._status = status
        self._monitor = monitor
        self._chunk_samples = chunk_samples or manifest.chunk_samples
        self._depth = depth or manifest.ladder.depth
        self._prompting = Prompting(prompts, controls, prompted)
        self._prefill_samples = min(round(config.prefill_s * rate_hz), ring.capacity_samples // 2)
        self._state_packets = max(1, round(config.state_s / packet_s))
        self._feed = Feed(
            ring, blocks, sample_rate_hz=rate_hz, packet_samples=packet_samples,
            epoch=secrets.randbits(32),
        )  # fmt: skip
        self._pacer = Pacer(packet_s)
        self._audience = Audience(rate_hz * channels, packet_s, config.replay_s)
        self._report = Report(
            bundle=bundle, version=version, controls=controls, feed=self._feed,
            audience=self._audience, pacer=self._pacer, chunk_samples=self._chunk_samples,
            depth=self._depth, packet_samples=packet_samples,
            token_required=config.token is not None, prompting=self._prompting,
        )  # fmt: skip
        self._lyria = LyriaFeed(
            config, controls=controls, audio=manifest.audio, packet_s=packet_s,
            audience=self._audience, prompting=self._prompting, embedder=prompts,
            start_anew=start_anew,
        )  # fmt: skip
        self._metrics = Metrics(self._values)
        self._site = Site(
            {
                "/info": lambda request: json_answer(self._report.info(self._feed_url(request))),
                "/livez": lambda _: health_answer(self._dead()),
                "/readyz": lambda _: health_answer(
                    self._dead() or self._report.trouble(self._feed.sequence > 0)
                ),
                "/metrics": lambda _: (
                    HTTPStatus.OK, self._metrics.content_type, self._metrics.text()
                ),
            }
        )  # fmt: skip
        self._server: Server | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    # ---- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and feed; NetworkError says in a line why that is impossible."""
        config = self._config
        try:
            self._server = await serve(
                self._listen_to, config.host, config.port, ssl=tls_context(config),
                process_request=self._answer, subprotocols=[Subprotocol(SUBPROTOCOL)],
                select_subprotocol=_choose_subprotocol,
                compression=None, server_header=None, max_size=MAX_MESSAGE_BYTES,
                ping_interval=config.ping_s, ping_timeout=config.pong_s,
                close_timeout=config.close_s, logger=log,
            )  # fmt: skip
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NetworkError(
                f"cannot listen on {config.host}:{config.port}: {reason}; "
                "choose another --host or --port"
            ) from None
        for listening in self._server.sockets:  # accepted connections inherit these
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._feeding = asyncio.create_task(self._keep_feeding())

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "start it first"
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Address of the page, for people on this machine."""
        scheme = "https" if self._config.tls_cert else "http"
        return f"{scheme}://{reachable(self._config.host)}:{self.port}/"

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
        await self._prompting.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

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
                self._audience.tell_prompts(self._prompting)
            self._look_after_listeners()

    def _look_after_listeners(self) -> None:
        now_s = monotonic()
        self._lyria.look_after(now_s)
        for listener in self._audience:
            for action in listener.session.poll(now_s):
                self._act(listener, action)

    # ---- one listener -----------------------------------------------------------------------

    async def _listen_to(self, connection: ServerConnection) -> None:
        if asks_lyria(connection.request):
            with self._lyria.client(connection) as hear_client:
                await self._converse(connection, hear_client)
            return
        config = self._config
        session = Session(
            opened_s=monotonic(), controls=self._controls.specs,
            recordings=self._prompting.recordings, token=config.token, limits=config.limits,
        )  # fmt: skip
        listener = Listener(connection, session, Backlog(config.skip_s, config.cut_s))
        self._audience.add(listener)
        listener.say(self._report.hello())

        def hear(message: str | bytes) -> bool:
            for action in session.receive(message, monotonic()):
                self._act(listener, action)
            return session.limited

        try:
            await self._converse(connection, hear)
        finally:
            self._audience.remove(listener)

    async def _converse(
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

    def _act(self, listener: Listener, action: Action) -> None:
        match action:
            case Send(text):
                listener.say(text)
            case SetControl():
                listener.say(self._set(action).text)
            case SetPrompts():
                self._prompting.ask(
                    action,
                    lambda answer: self._prompted(listener, answer),
                    lambda revision: acknowledge(action, revision, self._heard_at("idea")),
                )
            case Start(codec, message_id):
                listener.say(self._report.start(codec, message_id))
                listener.prompts_told = self._prompting.changes
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
        self._audience.tell_prompts(self._prompting)

    def _heard_at(self, reach: str) -> int:
        """Where a change that was just made will be heard; see `Feed.heard_at`."""
        status = self._status()
        newest = max((index for index, _ in status.rungs), default=None)
        taking = self._depth if status.busy else 0
        return self._feed.heard_at(reach, newest, self._chunk_samples, taking)

    # ---- HTTP -------------------------------------------------------------------------------

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The response to a plain request; None to open a WebSocket."""
        if request.path.partition("?")[0] != FEED_PATH and not asks_lyria(request):
            return self._site.answer(request)
        if len(self._audience) + len(self._lyria) >= self._config.max_connections:
            return self._refuse("full", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})
        if not origin_allowed(request, self._config.origins):
            return self._refuse("origin", HTTPStatus.FORBIDDEN, {})
        return None

    def _refuse(self, reason: str, status: HTTPStatus, extra: dict[str, str]) -> Response:
        words = {
            "full": f"all {self._config.max_connections} places are taken; try again later\n",
            "origin": "pages of this origin may not open the feed; see --origin\n",
        }
        self._report.refused[reason] += 1
        answer: Answer = (status, TEXT_TYPE, words[reason].encode())
        return respond(answer, extra)

    def _values(self) -> Values:
        """The values of /metrics, with the clients of Lyria among the listeners."""
        return {
            **self._report.metrics(self._status()),
            "listeners": self._audience.fed + self._lyria.playing,
            "connections": len(self._audience) + len(self._lyria),
        }

    def _feed_url(self, request: Request) -> str:
        scheme = "wss" if self._config.tls_cert else "ws"
        host = host_of(request, f"{reachable(self._config.host)}:{self.port}")
        return f"{scheme}://{host}{FEED_PATH}"

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
