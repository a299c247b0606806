"""One port for listeners and browsers: the feed, clients of Lyria RealTime, and the HTTP side.

blocks = BlockLog()
runner = Runner(generator, controls, ring_s=1.0, on_block=blocks.note)
programme = Programme(
ring=runner.ring, blocks=blocks, controls=controls, status=runner.status, bundle=bundle,
version="0.1.0", prompts=prompts,
)
server = FeedServer(ServeConfig(port=8765), programme)
await server.start()   # NetworkError if the port or the certificate cannot be used
await server.run()     # until it is cancelled; raises what ended the feed
await server.close()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine.sinks.broadcast import Broadcast, Programme
from engine.sinks.config import ServeConfig, reachable
from engine.sinks.door import RETRY_S, Porter, connection_options, let_in, serve_at_doors
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
from engine.sinks.lyria import asks_lyria
from engine.sinks.metrics import Metrics, Values
from engine.wire.native import SUBPROTOCOL

if TYPE_CHECKING:
    from engine.sinks.device import DeviceStatus
    from engine.sinks.sessions import Sessions

FEED_PATH = "/feed"


class FeedServer(Broadcast):
    """A broadcast behind a door of its own."""

    def __init__(
        self, config: ServeConfig, programme: Programme, *,
        metrics: Callable[[], Values] = dict, sessions: Sessions | None = None,
        device: Callable[[], DeviceStatus] | None = None,
    ) -> None:  # fmt: skip
        """`metrics` are further values for /metrics; `device` tells of the sound device, if any.

        `sessions` takes the connections of those who conduct streams of their own.
        """
        super().__init__(config, programme)
        self._sessions = sessions
        self._further = metrics
        self._device = device
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
        self._port: int | None = None

    async def start(self) -> None:
        """Listen and feed; NetworkError says in a line why that is impossible."""
        self._servers = await serve_at_doors(
            self._listen_to, self._config, self._porter,
            process_request=self._answer, subprotocols=[Subprotocol(SUBPROTOCOL)],
            select_subprotocol=_choose_subprotocol, **connection_options(self._config),
        )  # fmt: skip
        # Known before anybody comes in, and still when the last who came asks behind closed doors.
        self._port = next(iter(self._servers[0].sockets)).getsockname()[1]
        await let_in(self._servers, self._config)
        self.begin()

    async def close(self) -> None:
        """Stop feeding, tell all listeners that we go away, free the port."""
        await super().close()
        self._porter.close()
        for server in self._servers:
            server.close()
            await server.wait_closed()
        if self._sessions is not None:
            await self._sessions.close()

    @property
    def port(self) -> int:
        """The port it listens on, or did."""
        assert self._port is not None, "start it first"
        return self._port

    @property
    def url(self) -> str:
        """Address of the page, for people on this machine."""
        scheme = "https" if self._config.tls_cert else "http"
        return f"{scheme}://{reachable(self._config.host)}:{self.port}/"

    @property
    def connections(self) -> int:
        """Of listeners and clients of Lyria, in sessions, too."""
        elsewhere = self._sessions.connections if self._sessions is not None else 0
        return super().connections + elsewhere

    def count_refused(self, reason: str) -> None:
        """A connection that is not let in."""
        self._report.refused[reason] += 1

    # ---- connections ------------------------------------------------------------------------

    async def _listen_to(self, connection: ServerConnection) -> None:
        request = connection.request
        if self._sessions is not None and request is not None and self._sessions.wants(request):
            await self._sessions.host(self, connection)
        elif asks_lyria(request):
            await self.host_lyria(connection)
        else:
            await self.host(connection)

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

    def _is_full(self) -> bool:
        return self.connections >= self._config.max_connections

    def _info(self, request: Request) -> dict[str, object]:
        sessions = None if self._sessions is None else self._sessions.info()
        device = None if self._device is None else self._device().fields()
        return {
            **self._report.info(self._feed_url(request)), "sessions": sessions, "device": device
        }  # fmt: skip

    def _values(self) -> Values:
        """The values of /metrics, with the clients of Lyria among the listeners."""
        return {
            **self._report.metrics(self._status()),
            "listeners": self._audience.fed + self._lyria.playing,
            "connections": self.connections,
            "sessions": self._sessions.playing if self._sessions is not None else 0,
            **(self._device().values() if self._device is not None else {}),
            **self._further(),
        }

    def _feed_url(self, request: Request) -> str:
        scheme = "wss" if self._config.tls_cert or came_by_tls(request) else "ws"
        host = host_of(request, f"{reachable(self._config.host)}:{self.port}")
        return f"{scheme}://{host}{FEED_PATH}"

    def _dead(self) -> str | None:
        return "the feed has ended" if self.ended else None


def _choose_subprotocol(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Ours for the feed, none for Lyria; NegotiationError for who does not offer ours."""
    if asks_lyria(connection.request):
        return None
    if SUBPROTOCOL not in offered:
        raise NegotiationError(f"the feed speaks {SUBPROTOCOL}: offer it as a subprotocol")
    return Subprotocol(SUBPROTOCOL)
