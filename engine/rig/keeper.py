"""Musical states for those who wait for the answer: listeners of the feed."""

from __future__ import annotations

from engine.rig.desk import Desk
from engine.rig.memories import Memories


class Keeper:
    """Saves and restores by way of the desk, which knows prompts and beats. UsageErrors tell."""

    def __init__(self, memories: Memories, desk: Desk) -> None:
        self._memories = memories
        self._desk = desk

    def save(self, name: str) -> int:
        """Keep what plays now; the sample of the music that is made next then."""
        self._memories.save(name, self._desk.words)
        return self._desk.next_sample

    def restore(self, name: str) -> int:
        """Go on from there, as quantised; the sample of the music where it begins."""
        return self._desk.turn(name, self._memories.load(name))
