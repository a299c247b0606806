"""Everyone who listens: hands packets out, and keeps each listener from costing the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection, broadcast

from engine.sinks.feed import Packet
from engine.sinks.prompting import Prompting
from engine.wire.limits import Backlog, Verdict
from engine.wire.messages import encode
from engine.wire.native import Session
from engine.wire.packets import Codec, Flag


@dataclass(eq=False)
class Listener:
    """One connection; it is fed as soon as it has a codec."""

    connection: ServerConnection
    session: Session
    backlog: Backlog
    codec: Codec | None = None
    prompts_told: int = 0

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

    def __init__(self, values_hz: int, packet_s: float, replay_s: float) -> None:
        """`values_hz` is samples a second times channels; late joiners get `replay_s` at once."""
        self.skipped_packets = 0
        self.gone: Counter[str] = Counter()
        self._values_hz = values_hz
        self._packet_s = packet_s
        self._everyone: set[Listener] = set()
        self._recent: deque[Packet] = deque(maxlen=round(replay_s / packet_s))

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
            listener.say(packet.encoded(codec, Flag.REPLAY))
        listener.codec = codec

    def deliver(self, packet: Packet) -> None:
        """Give the packet to all who can take it; cut those who owe too much."""
        takers: dict[Codec, list[ServerConnection]] = {}
        for listener in self:
            if listener.codec is not None and self._may_send(listener, listener.codec):
                takers.setdefault(listener.codec, []).append(listener.connection)
        for codec, connections in takers.items():
            broadcast(connections, packet.encoded(codec))
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

    def _may_send(self, listener: Listener, codec: Codec) -> bool:
        buffered_s = listener.buffered_bytes / (self._values_hz * codec.sample_bytes)
        verdict = listener.backlog.judge(buffered_s, self._packet_s)
        if verdict is Verdict.CUT:
            self.gone["behind"] += 1
            self.remove(listener)
            listener.connection.transport.abort()
        elif verdict is Verdict.SKIP:
            self.skipped_packets += 1
        return verdict is Verdict.SEND
