"""Everyone who listens: hands packets out, and keeps each listener from costing the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection, broadcast

from engine.sinks.feed import Packet
from engine.sinks.opus import OpusTrack
from engine.sinks.prompting import Prompting
from engine.wire.limits import Backlog, Verdict
from engine.wire.messages import encode
from engine.wire.native import Session
from engine.wire.packets import PCM_CODECS, Codec, Flag
from engine.wire.roles import Role


@dataclass(eq=False)
class Listener:
    """One connection; it is fed as soon as it has a codec."""

    connection: ServerConnection
    session: Session
    backlog: Backlog
    codec: Codec | None = None
    prompts_told: int = 0
    conducts: bool = True  # of a session: may set controls and prompts
    role: Role = "conductor"
    name: str = ""  # what others are told of who it is
    place: Mapping[str, object] | None = None  # the session that it is in

    def say(self, message: str | bytes) -> None:
        """Send without waiting; what does not go out at once is in the send buffer."""
        broadcast([self.connection], message)

    @property
    def buffered_bytes(self) -> int:
        """What waits in this process to be sent."""
        size: int = self.connection.transport.get_write_buffer_size()
        return size


class Audience:
    """The listeners of one feed."""

    def __init__(
        self, values_hz: int, packet_s: float, replay_s: float, opus: OpusTrack | None = None
    ) -> None:
        """`values_hz` is samples a second times channels; late joiners get `replay_s` at once.

        `opus` encodes for those who ask for Opus; None: nobody may.
        """
        self.skipped_packets = 0
        self.gone: Counter[str] = Counter()
        self._values_hz = values_hz
        self._packet_s = packet_s
        self.opus = opus
        self._everyone: set[Listener] = set()
        self._recent: deque[Packet] = deque(maxlen=round(replay_s / packet_s))

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """Those that listeners may ask for."""
        return PCM_CODECS if self.opus is None else (*PCM_CODECS, Codec.OPUS)

    def __len__(self) -> int:
        return len(self._everyone)

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._everyone))

    @property
    def fed(self) -> int:
        """Listeners that have said which codec they want."""
        return sum(listener.codec is not None for listener in self._everyone)

    def add(self, listener: Listener) -> None:
        """A new connection, not yet fed."""
        self._everyone.add(listener)

    def remove(self, listener: Listener) -> None:
        """A connection that has ended."""
        self._everyone.discard(listener)

    def feed(self, listener: Listener, codec: Codec) -> None:
        """Start to feed a listener, with the packets just played, so that it need not wait."""
        for packet in self._recent:
            if (message := self._encoded(packet, codec, Flag.REPLAY)) is not None:
                listener.say(message)
        listener.codec = codec

    def deliver(self, packet: Packet) -> None:
        """Give the packet to all who can take it; cut those who owe too much."""
        takers: dict[Codec, list[ServerConnection]] = {}
        for listener in self:
            if listener.codec is not None and self._may_send(listener, listener.codec):
                takers.setdefault(listener.codec, []).append(listener.connection)
        for codec, connections in takers.items():
            if (message := self._encoded(packet, codec)) is not None:
                broadcast(connections, message)
        self._recent.append(packet)

    def tell(self, message: str) -> None:
        """Send a text to all who are fed and not behind."""
        broadcast([listener.connection for listener in self._reachable()], message)

    def tell_prompts(self, prompting: Prompting) -> None:
        """Send the present prompts to those who do not know them yet; who is behind waits."""
        unaware = [
            listener for listener in self._reachable() if listener.prompts_told != prompting.changes
        ]
        if not unaware:
            return
        message = encode("prompts", prompts=prompting.fields())
        broadcast([listener.connection for listener in unaware], message)
        for listener in unaware:
            listener.prompts_told = prompting.changes

    def _reachable(self) -> list[Listener]:
        return [
            listener
            for listener in self
            if listener.codec is not None and not listener.backlog.skipped_s
        ]

    def _encoded(self, packet: Packet, codec: Codec, flag: Flag = Flag.NONE) -> bytes | None:
        """A packet as it is sent; None where there is nothing to send yet."""
        if codec is not Codec.OPUS:
            return packet.encoded(codec, flag)
        assert self.opus is not None, "a session starts in codecs that are offered"
        return self.opus.message(packet, flag)

    def _bytes_hz(self, codec: Codec) -> float:
        if codec is Codec.OPUS and self.opus is not None:
            return self.opus.bytes_hz
        return self._values_hz * codec.sample_bytes

    def _may_send(self, listener: Listener, codec: Codec) -> bool:
        buffered_s = listener.buffered_bytes / self._bytes_hz(codec)
        verdict = listener.backlog.judge(buffered_s, self._packet_s)
        if verdict is Verdict.CUT:
            self.gone["behind"] += 1
            self.remove(listener)
            listener.connection.transport.abort()
        elif verdict is Verdict.SKIP:
            self.skipped_packets += 1
        return verdict is Verdict.SEND
