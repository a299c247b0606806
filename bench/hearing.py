"""What a listener's clock says of a feed: gaps, lateness, and how long a control takes. No IO."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from bench.timing import Tail
from engine.wire.packets import Flag, PacketHeader


@dataclass
class Hearing:
    """Told of every packet and every answer with the time of its arrival."""

    first_music_s: float | None = None
    skipped: int = 0
    filler_packets: int = 0
    control_to_sound_s: list[float] = field(default_factory=list)
    late_samples: list[int] = field(default_factory=list)
    """For every control whose sample was promised: by how much it was missed, 0 where it lay in the
    first packet that carried the control, less than 0 where it was heard sooner."""
    _arrivals: list[tuple[int, float]] = field(default_factory=list)
    _packet_s: float = 0.0
    _asked_s: float | None = None
    _revision: int | None = None
    _heard_at: int | None = None
    _kind: str = "idea"

    @property
    def waiting(self) -> bool:
        """A control is under way and has not been heard yet."""
        return self._asked_s is not None

    @property
    def packets(self) -> int:
        """Live packets received."""
        return len(self._arrivals)

    def ask(self, now_s: float, kind: str = "idea") -> None:
        """A control of this kind was sent."""
        self._asked_s, self._revision, self._kind = now_s, None, kind

    def acknowledge(self, revision: int, heard_at: int | None = None) -> None:
        """The server says which revision the control made, and at which sample it is heard."""
        self._revision, self._heard_at = revision, heard_at

    def packet(self, header: PacketHeader, now_s: float) -> None:
        """A packet came. The first ones, sent again to a late joiner, tell nothing of time."""
        if header.flags & Flag.FILLER:
            self.filler_packets += 1
        elif self.first_music_s is None:
            self.first_music_s = now_s
        if header.flags & Flag.REPLAY:
            return
        if self._arrivals:
            self.skipped += header.sequence - self._arrivals[-1][0] - 1
        self._packet_s = header.samples / header.sample_rate_hz
        self._arrivals.append((header.sequence, now_s))
        self._listen(header, now_s)

    def _listen(self, header: PacketHeader, now_s: float) -> None:
        if self._asked_s is None or self._revision is None:
            return
        carried = header.hand_revision if self._kind == "hand" else header.idea_revision
        if carried < self._revision:
            return
        self.control_to_sound_s.append(now_s - self._asked_s)
        self._asked_s = self._revision = None
        if self._heard_at is not None:
            last = header.position + header.samples - 1
            nearest = min(max(self._heard_at, header.position), last)
            self.late_samples.append(nearest - self._heard_at)

    def gaps_ms(self) -> Tail:
        """Between one live packet and the next."""
        times = [now_s for _, now_s in self._arrivals]
        return Tail.of([1e3 * (b - a) for a, b in itertools.pairwise(times)])

    def lateness_ms(self) -> Tail:
        """Against the schedule t0 + sequence · packet through the earliest packet."""
        offsets = [now_s - number * self._packet_s for number, now_s in self._arrivals]
        return Tail.of([1e3 * (offset - min(offsets)) for offset in offsets])
