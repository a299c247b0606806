"""Clients of Lyria RealTime on the feed's port: the shell around `wire.lyria`.

What a client is owed is judged before each packet, as for any listener: a slow one is skipped, a
stalled one is cut, and nothing ever waits for either.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from urllib.parse import parse_qs

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.http11 import Request

from engine.controls import Controls
from engine.errors import ControlError
from engine.prompts import Prompt
from engine.sinks.audience import Audience
from engine.sinks.config import ServeConfig
from engine.sinks.feed import Packet
from engine.sinks.lyria_audio import Reel
from engine.sinks.prompting import Embedder, Prompting
from engine.spec import AudioSpec
from engine.wire.actions import Close, Send, SetPrompts, acknowledge
from engine.wire.limits import Backlog, Verdict
from engine.wire.lyria import Configure, LyriaAction, LyriaSession, Play, StartAnew
from engine.wire.lyria_messages import BYTES_PER_S, Sources, filtered_prompt, warning
from engine.wire.messages import AskedPrompt

PATH = re.compile(
    r"/{1,2}ws/google\.ai\.generativelanguage\.v\w+\.GenerativeService\.BidiGenerateMusic"
)
"""Google's JavaScript library begins it with two strokes."""

log = logging.getLogger(__name__)


def asks_lyria(request: Request | None) -> bool:
    """True for a handshake at Lyria's path, of whatever version."""
    return request is not None and PATH.fullmatch(request.path.partition("?")[0]) is not None


def api_key(request: Request | None) -> str | None:
    """The key that a client came with: in a header, or in the address as pages send it."""
    if request is None:
        return None
    given = request.headers.get_all("x-goog-api-key")
    query = parse_qs(request.path.partition("?")[2])
    return next(iter(given or query.get("key", [])), None)


@dataclass(eq=False)
class Client:
    """One connection; `heard` is the sequence of the last packet it was sent."""

    connection: ServerConnection
    session: LyriaSession
    backlog: Backlog
    heard: int = -1
    wanted: SetPrompts | None = None

    def say(self, message: str) -> None:
        """Send without waiting."""
        broadcast([self.connection], message)

    @property
    def buffered_s(self) -> float:
        """Seconds of audio that wait in this process to be sent."""
        size: int = self.connection.transport.get_write_buffer_size()
        return size / BYTES_PER_S


class LyriaFeed:
    """The clients of Lyria RealTime of one feed. Lives on the feed's event loop."""

    def __init__(
        self, config: ServeConfig, *, controls: Controls, audio: AudioSpec, packet_s: float,
        audience: Audience, prompting: Prompting, embedder: Embedder | None,
        start_anew: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        """`start_anew` has the music forget what was played; None where it cannot.

        Those cut and the packets skipped are counted in `audience`.
        """
        self._config = config
        self._controls = controls
        self._packet_s = packet_s
        self._audience = audience
        self._prompting = prompting
        self._embedder = embedder
        self._start_anew = start_anew
        self._clients: set[Client] = set()
        self._sources = Sources()
        self._reel = Reel(audio, self._sources, round(config.replay_s / packet_s))
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()  # of prompts, first come first served

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def playing(self) -> int:
        """Clients that are fed."""
        return sum(client.session.playing for client in self._clients)

    # ---- the feed ---------------------------------------------------------------------------

    def note(self) -> None:
        """Remember what the present revision stands for; call it after each change.

        Without a client nobody asks for those before it.
        """
        now, present = self._controls.snapshot(), self._prompting.present
        self._sources.note(now.revision, present, now.values, wanted=bool(self._clients))

    def deliver(self, packet: Packet) -> None:
        """Give the packet to all who play and can take it; cut those who owe too much."""
        self.note()
        takers = [client for client in tuple(self._clients) if self._may_send(client)]
        text = self._reel.add(packet, wanted=self.playing > 0)
        if text is None:
            return
        for client in takers:
            client.heard = packet.header.sequence
        broadcast([client.connection for client in takers], text)

    def look_after(self, now_s: float) -> None:
        """Do what time asks of the clients."""
        for client in tuple(self._clients):
            for action in client.session.poll(now_s):
                self._act(client, action)

    def _play(self, client: Client) -> None:
        """What was just played and it has not heard, so that it need not wait."""
        for sequence, text in self._reel.since(client.heard):
            client.say(text)
            client.heard = sequence

    def _may_send(self, client: Client) -> bool:
        if not client.session.playing:
            return False
        verdict = client.backlog.judge(client.buffered_s, self._packet_s)
        if verdict is Verdict.CUT:
            self._audience.gone["behind"] += 1
            self._clients.discard(client)
            client.connection.transport.abort()
        elif verdict is Verdict.SKIP:
            self._audience.skipped_packets += 1
        return verdict is Verdict.SEND

    # ---- one client -------------------------------------------------------------------------

    @contextmanager
    def client(self, connection: ServerConnection) -> Iterator[Callable[[str | bytes], bool]]:
        """Be there for a connection; gives what takes its messages, True to read it slowly."""
        config = self._config
        session = LyriaSession(
            opened_s=monotonic(), controls=self._controls.specs,
            prompting=self._embedder is not None, resets=self._start_anew is not None,
            token=config.tokens.conducts, key=api_key(connection.request), limits=config.limits,
        )  # fmt: skip
        client = Client(connection, session, Backlog(config.skip_s, config.cut_s))
        self._clients.add(client)
        try:
            yield partial(self._hear, client)
        finally:
            self._clients.discard(client)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _hear(self, client: Client, message: str | bytes) -> bool:
        for action in client.session.receive(message, monotonic()):
            self._act(client, action)
        return client.session.limited

    def _act(self, client: Client, action: LyriaAction) -> None:
        match action:
            case Send(text):
                client.say(text)
            case Configure(values):
                try:
                    self._controls.update(values)
                except ControlError as error:
                    client.say(warning("bad_config", str(error)))
                self.note()
            case SetPrompts():
                client.wanted = action
                self._begin(self._ask(client, action))
            case Play():
                self._play(client)
            case StartAnew(if_alone):
                others = self._audience.fed + self.playing
                if self._start_anew is not None and not (if_alone and others):
                    self._start_anew()
            case Close(code, reason, after_s):
                self._begin(_close(client.connection, code, reason, after_s))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, client: Client, asked: SetPrompts) -> None:
        """Leave out the prompts that say nothing here, and ask for the others."""
        async with self._order:
            if client.wanted is not asked:  # it has asked for others since
                return
            assert self._embedder is not None
            left_out = await asyncio.to_thread(sift, self._embedder, asked.prompts)
        for prompt, reason in left_out:
            client.say(filtered_prompt(prompt.text or "", reason))
        bad = [prompt for prompt, _ in left_out]
        good = tuple(prompt for prompt in asked.prompts if prompt not in bad)
        if good or not bad:
            wanted = SetPrompts(good, None)
            self._prompting.ask(
                wanted,
                partial(self._asked, client),
                lambda revision: acknowledge(wanted, revision, 0),
            )

    def _asked(self, client: Client, answer: Send) -> None:
        """What became of the prompts; only refusals are told."""
        self.note()
        told = json.loads(answer.text)
        if told["type"] == "error":
            client.say(warning(told["code"], told["message"]))


def sift(embedder: Embedder, prompts: Sequence[AskedPrompt]) -> list[tuple[AskedPrompt, str]]:
    """The prompts that cannot be understood one by one, each with the reason."""
    found = []
    for prompt in prompts:
        try:
            embedder.embed([Prompt(text=prompt.text)])
        except ControlError as error:
            found.append((prompt, str(error)))
        except Exception:  # asking for it meets this again, and answers
            log.debug("a prompt could not be tried", exc_info=True)
    return found


async def _close(connection: ServerConnection, code: int, reason: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await connection.close(code, reason)
