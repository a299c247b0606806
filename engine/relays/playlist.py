"""A rolling HLS playlist (RFC 8216), without IO."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

NAME = "perpetuo-{:08}.ts"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file; `broken`: it does not go on where the one before it ended."""

    number: int
    seconds: float
    broken: bool = False

    @property
    def name(self) -> str:
        """Its file."""
        return NAME.format(self.number)


class Playlist:
    """The newest segments."""

    def __init__(self, size: int, segments: list[Segment] | None = None, breaks: int = 0) -> None:
        """At most `size` segments; `breaks` were in those that have left it already."""
        self._segments: deque[Segment] = deque(segments or (), size)
        self._breaks = breaks

    @property
    def next_number(self) -> int:
        """Of the next segment; numbers are never used again."""
        return self._segments[-1].number + 1 if self._segments else 0

    def add(self, segment: Segment) -> None:
        """The next segment; the oldest one leaves the list for it."""
        if len(self._segments) == self._segments.maxlen:
            self._breaks += self._segments[0].broken
        self._segments.append(segment)

    def text(self) -> str:
        """The file."""
        longest = max((segment.seconds for segment in self._segments), default=1.0)
        first = self._segments[0].number if self._segments else 0
        lines = [
            "#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{math.ceil(longest)}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}", f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._breaks}",
        ]  # fmt: skip
        for segment in self._segments:
            lines += ["#EXT-X-DISCONTINUITY"] * segment.broken
            lines += [f"#EXTINF:{segment.seconds:.6f},", segment.name]
        return "\n".join([*lines, ""])

    @classmethod
    def read(cls, text: str, size: int) -> Playlist:
        """Go on from a list that `text` wrote; ValueError if it is another one."""
        found: list[Segment] = []
        breaks, number, seconds, broken = 0, 0, 0.0, False
        for line in text.splitlines():
            key, _, value = line.partition(":")
            match key:
                case "#EXT-X-MEDIA-SEQUENCE":
                    number = int(value)
                case "#EXT-X-DISCONTINUITY-SEQUENCE":
                    breaks = int(value)
                case "#EXT-X-DISCONTINUITY":
                    broken = True
                case "#EXTINF":
                    seconds = float(value.rstrip(","))
                case name if name and not name.startswith("#"):
                    found.append(Segment(number + len(found), seconds, broken))
                    broken = False
                    if name != found[-1].name:
                        raise ValueError(f"{name} is no segment of ours")
        return cls(size, found, breaks)
