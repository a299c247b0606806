"""Ableton Link: the tempo of the programs in the network becomes ours, as a MIDI clock's does.

The library (LinkPython-extern, the extra `link`) contains Link itself, which is under the GPL; it
is imported when this port is opened, and nothing else here needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import NetworkError
from engine.rig.beats import USUAL_BPM
from engine.rig.orders import Order, Tempo
from engine.rig.ports import library


class LinkPort:
    """A peer in a session of Link; it follows the others' tempo and sets none."""

    def __init__(self, hear: Callable[[Order], None]) -> None:
        """`hear` is called in a thread of Link's. NetworkError where there is no network."""
        self._hear = hear
        self._link: Any = library("link", extra="link").Link(USUAL_BPM)
        self._link.setNumPeersCallback(self._met)
        self._link.setTempoCallback(self._tempo)
        try:
            self._link.enabled = True
        except Exception as error:  # sockets, interfaces: whatever the network does not allow
            raise NetworkError(f"Ableton Link does not work here: {error!r:.120}") from None

    @property
    def peers(self) -> int:
        """Others in the session."""
        return int(self._link.numPeers())

    def close(self) -> None:
        """Leave the session."""
        self._link.enabled = False

    def _met(self, peers: int) -> None:
        """Somebody has come or gone; who comes may have had our very tempo."""
        if peers:
            self._tempo(self._link.captureAppSessionState().tempo())

    def _tempo(self, bpm: float) -> None:
        if self.peers:
            self._hear(Tempo(round(bpm, 2)))
